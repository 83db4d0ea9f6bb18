"""kafka-python, a client of its own."""

import kafka

import cell as compat

try:
    from kafka.net.sasl.oauth import AbstractTokenProvider
except ImportError:
    from kafka.sasl.oauth import AbstractTokenProvider


class Tokens(AbstractTokenProvider):
    def __init__(self, token):
        self._token = token

    def token(self):
        return self._token


def run(cell):
    conf = {
        "bootstrap_servers": cell["bootstrap"],
        "compression_type": None if cell["codec"] == "none" else cell["codec"],
        "enable_idempotence": cell["idempotent"] == "true",
        "acks": "all",
        "linger_ms": 20,
        "security_protocol": cell["protocol"],
    }
    if cell["protocol"].endswith("SSL"):
        conf["ssl_cafile"] = cell["ca"]
    if cell["mechanism"]:
        conf["sasl_mechanism"] = cell["mechanism"]
    if cell["mechanism"] == "OAUTHBEARER":
        conf["sasl_oauth_token_provider"] = Tokens(cell["token"])
    elif cell["mechanism"]:
        conf["sasl_plain_username"], conf["sasl_plain_password"] = cell["user"], cell["password"]
    producer, acked = kafka.KafkaProducer(**conf), 0
    try:
        for begin, end in compat.halves(cell):
            sent = [
                producer.send(cell["topic"], value=value, key=key, headers=headers, partition=p)
                for p, key, value, headers in compat.records(cell, begin, end)
            ]
            producer.flush()
            for f in sent:
                f.get(60)
            acked += len(sent)
    finally:
        producer.close(10)
    return acked


compat.serve("kafka-python", kafka.__version__, run)
