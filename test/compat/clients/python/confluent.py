"""librdkafka, by confluent-kafka."""

import time

import confluent_kafka

import cell as compat


def run(cell):
    conf = {
        "bootstrap.servers": cell["bootstrap"],
        "compression.codec": cell["codec"],
        "enable.idempotence": cell["idempotent"] == "true",
        "acks": "all",
        "linger.ms": 20,
        "security.protocol": cell["protocol"],
    }
    if cell["protocol"].endswith("SSL"):
        conf["ssl.ca.location"] = cell["ca"]
    if cell["mechanism"] == "OAUTHBEARER":
        conf["oauth_cb"] = lambda _: (cell["token"], time.time() + 3600)
    if cell["mechanism"]:
        conf["sasl.mechanism"] = cell["mechanism"]
    if cell["mechanism"] not in ("", "OAUTHBEARER"):
        conf["sasl.username"], conf["sasl.password"] = cell["user"], cell["password"]
    producer, acked, errors = confluent_kafka.Producer(conf), 0, []

    def told(error, _):
        nonlocal acked
        if error is None:
            acked += 1
        else:
            errors.append(str(error))

    for begin, end in compat.halves(cell):
        for p, key, value, headers in compat.records(cell, begin, end):
            producer.produce(cell["topic"], value, key, partition=p, headers=headers, on_delivery=told)
        left = producer.flush(60)
        if left or errors:
            raise RuntimeError(f"{left} unanswered; {errors[:1]}")
    return acked


compat.serve("librdkafka (confluent-kafka " + str(confluent_kafka.__version__) + ")", confluent_kafka.libversion()[0], run)
