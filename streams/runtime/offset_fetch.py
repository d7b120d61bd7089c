"""What a group has committed, asked for with aiokafka, which takes two things for the truth that are none.

A coordinator that is still loading tells so in a field of the answer, with no partitions at all; aiokafka looks only at
the errors of partitions, and takes that for a group that has committed nothing. And it asks in a version (3) in which a
coordinator tells of no commit that has not got all its copies yet, as after a failover: whoever begins there sets the
group's offset back with its next commit. From version 7 on (Kafka 2.5, KIP-447) one can ask it to wait for them. All
this in aiokafka 0.14.
"""

from typing import Any, ClassVar, cast

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import (
    GroupCoordinatorNotAvailableError,
    GroupLoadInProgressError,
    NoError,
    NotCoordinatorForGroupError,
    for_code,
)
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.commit import OffsetFetchRequest, OffsetFetchResponse_v3
from aiokafka.protocol.types import (
    Boolean,
    CompactArray,
    CompactString,
    Int16,
    Int32,
    Int64,
    Schema,
    TaggedFields,
)

OFFSET_FETCH = 9
UNSTABLE_OFFSET_COMMIT = 88
"""There is one of a transaction that has not ended: to be asked again."""


class OffsetFetchResponseV7(Response):
    # as aiokafka's own do, whose base says that they are properties
    API_KEY = OFFSET_FETCH  # pyright: ignore[reportIncompatibleMethodOverride, reportAssignmentType]
    API_VERSION = 7  # pyright: ignore[reportIncompatibleMethodOverride, reportAssignmentType]
    FLEXIBLE_VERSION: ClassVar[bool] = True
    SCHEMA: ClassVar[Schema] = Schema(
        ("throttle_time_ms", Int32),
        (
            "topics",
            CompactArray(
                ("topic", CompactString("utf-8")),
                (
                    "partitions",
                    CompactArray(
                        ("partition", Int32),
                        ("offset", Int64),
                        ("leader_epoch", Int32),
                        ("metadata", CompactString("utf-8")),
                        ("error_code", Int16),
                        ("tags", TaggedFields),
                    ),
                ),
                ("tags", TaggedFields),
            ),
        ),
        ("error_code", Int16),
        ("tags", TaggedFields),
    )


class OffsetFetchRequestV7(RequestStruct):
    API_KEY: ClassVar[int] = OFFSET_FETCH
    API_VERSION: ClassVar[int] = 7
    FLEXIBLE_VERSION: ClassVar[bool] = True
    RESPONSE_TYPE = OffsetFetchResponseV7
    SCHEMA: ClassVar[Schema] = Schema(
        ("consumer_group", CompactString("utf-8")),
        (
            "topics",
            CompactArray(
                ("topic", CompactString("utf-8")), ("partitions", CompactArray(Int32)), ("tags", TaggedFields)
            ),
        ),
        ("require_stable", Boolean),
        ("tags", TaggedFields),
    )


class StableOffsetFetch(Request[OffsetFetchRequestV7]):
    """aiokafka's own question, in the version that can be asked to be true."""

    API_KEY: ClassVar[int] = OFFSET_FETCH

    def __init__(self, asked: OffsetFetchRequest) -> None:
        self.asked = cast("Any", asked)

    def build(self, request_struct_class: type[OffsetFetchRequestV7]) -> OffsetFetchRequestV7:
        topics: list[tuple[str, list[int], dict[int, bytes]]] = [
            (topic, partitions, {})
            for topic, partitions in self.asked._partitions  # noqa: SLF001  # its own kind
        ]
        return request_struct_class(self.asked._consumer_group, topics, True, {})  # noqa: SLF001  # as above


def tell_the_truth_of_offsets(consumer: AIOKafkaConsumer) -> None:
    """For a consumer that has been started. What passes is asked again by aiokafka itself, once it is told."""
    coordinator = cast("Any", consumer)._coordinator  # noqa: SLF001  # aiokafka has no other place for it
    send = coordinator._send_req  # noqa: SLF001  # as above

    async def send_and_look(request: Any) -> Any:
        if not isinstance(request, OffsetFetchRequest):
            return await send(request)
        response = await send(StableOffsetFetch(request))
        error = for_code(response.error_code)
        if error in (NotCoordinatorForGroupError, GroupCoordinatorNotAvailableError):
            coordinator.coordinator_dead()
        if error is not NoError:
            raise error
        return _as_expected(response)

    coordinator._send_req = send_and_look  # noqa: SLF001  # as above


def _as_expected(response: Any) -> OffsetFetchResponse_v3:
    """In the form that aiokafka reads. Raises GroupLoadInProgressError, which it asks again after."""
    topics: list[tuple[str, list[tuple[int, int, str | None, int]]]] = []
    for topic, partitions, _ in response.topics:
        told = [(partition, offset, metadata, code) for partition, offset, _, metadata, code, _ in partitions]
        if any(code == UNSTABLE_OFFSET_COMMIT for *_, code in told):
            raise GroupLoadInProgressError
        topics.append((topic, told))
    return OffsetFetchResponse_v3(response.throttle_time_ms, topics, response.error_code)
