"""aiokafka, a client of its own."""

import asyncio

import aiokafka
from aiokafka.abc import AbstractTokenProvider
from aiokafka.helpers import create_ssl_context

import cell as compat


class Tokens(AbstractTokenProvider):
    def __init__(self, token):
        self._token = token

    async def token(self):
        return self._token


async def send(cell):
    conf = {
        "bootstrap_servers": cell["bootstrap"],
        "compression_type": None if cell["codec"] == "none" else cell["codec"],
        "enable_idempotence": cell["idempotent"] == "true",
        "acks": "all",
        "linger_ms": 20,
        "security_protocol": cell["protocol"],
    }
    if cell["protocol"].endswith("SSL"):
        conf["ssl_context"] = create_ssl_context(cafile=cell["ca"])
    if cell["mechanism"]:
        conf["sasl_mechanism"] = cell["mechanism"]
    if cell["mechanism"] == "OAUTHBEARER":
        conf["sasl_oauth_token_provider"] = Tokens(cell["token"])
    elif cell["mechanism"]:
        conf["sasl_plain_username"], conf["sasl_plain_password"] = cell["user"], cell["password"]
    producer, acked = aiokafka.AIOKafkaProducer(**conf), 0
    await producer.start()
    try:
        for begin, end in compat.halves(cell):
            sent = [
                await producer.send(cell["topic"], value=value, key=key, headers=headers, partition=p)
                for p, key, value, headers in compat.records(cell, begin, end)
            ]
            await asyncio.wait_for(asyncio.gather(*sent), 60)
            acked += len(sent)
    finally:
        await producer.stop()
    return acked


compat.serve("aiokafka", aiokafka.__version__, lambda cell: asyncio.run(send(cell)))
