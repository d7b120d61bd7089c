"""`python -m scripts.bench.contenders.hop`: passes records on as they are, with the same clients and settings as our
synchronous stages. Six of them are what six topics cost, whatever is done between them.
"""

import sys
from pathlib import Path
from typing import Annotated, Any, cast

import typer
from confluent_kafka import Consumer, Message, Producer, TopicPartition

from streams.process import stop_on_signal
from streams.runtime.clients import consumer_config, producer_config
from streams.settings import KafkaSettings

_AT_ONCE = 500
_LOOK_S = 0.1


def hop(
    bootstrap_servers: Annotated[str, typer.Option(help="Where the broker is.")],
    requests: Annotated[str, typer.Option(help="Topic to read.")],
    answers: Annotated[str, typer.Option(help="Topic to write.")],
    ready_file: Annotated[Path, typer.Option(help="Made when the first record could be taken.")],
    name: Annotated[str, typer.Option(help="Of its consumer group.")] = "hop",
    id_header: Annotated[
        bool, typer.Option(help="Take the key from the load's header: the last hop of a chain.")
    ] = False,
) -> None:
    """Read and write until SIGTERM."""
    stop = stop_on_signal(10)
    kafka = KafkaSettings(bootstrap_servers=bootstrap_servers, group_prefix="bench.")
    # offsets are committed in the background, which promises nothing and costs least
    consumer = Consumer({**consumer_config(kafka, name), "enable.auto.commit": True, "enable.auto.offset.store": True})
    producer = Producer(producer_config(kafka, name))

    def assigned(_consumer: Consumer, _partitions: list[TopicPartition]) -> None:
        ready_file.touch()

    consumer.subscribe([requests], on_assign=assigned)

    def pass_on(message: Message) -> None:
        if message.error() is None:
            headers = message.headers()
            key = cast("Any", dict(headers or ())["load-id"]) if id_header else message.key()
            producer.produce(answers, message.value(), key, headers=headers)  # pyright: ignore[reportArgumentType]  # a list, as it was read

    while not stop.is_set():
        first = consumer.poll(_LOOK_S)
        if first is not None:
            pass_on(first)
            for message in consumer.consume(_AT_ONCE, 0):
                pass_on(message)
        producer.poll(0)
    producer.flush(5)
    consumer.close()


if __name__ == "__main__":
    sys.exit(typer.run(hop))
