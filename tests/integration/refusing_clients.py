"""Real clients whose first commit is refused."""

from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException
from typing_extensions import override

from streams.runtime.clients import consumer_config
from streams.runtime.kafka import ConfluentClients, GroupConsumer
from streams.settings import KafkaSettings


class RefusingFirstCommit(Consumer):
    """A real consumer whose first commit ends with an error instead."""

    def __init__(self, config: dict[str, Any], code: int) -> None:
        super().__init__(config)
        self._code: int | None = code

    @override
    def commit(self, *arguments: Any, **options: Any) -> Any:
        code, self._code = self._code, None
        if code is not None:
            raise KafkaException(KafkaError(code))
        return super().commit(*arguments, **options)


class RefusingClients(ConfluentClients):
    def __init__(self, kafka: KafkaSettings, code: int) -> None:
        super().__init__(kafka)
        self._settings = kafka
        self._code = code

    @override
    def group_consumer(self, stage: str) -> GroupConsumer:
        return RefusingFirstCommit(consumer_config(self._settings, stage), self._code)
