"""What a group has committed, asked for with aiokafka, which takes a coordinator that is still loading for one of a
group that has committed nothing.

Of an OffsetFetch answer it reads the errors of partitions. Brokers tell what concerns the whole group (loading, moved)
in a field of the answer, with no partitions at all: its consumer would begin anew, seven days back, and set the group's
offsets back with its next commit. Seen in 0.14.
"""

from typing import Any, cast

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import GroupCoordinatorNotAvailableError, NoError, NotCoordinatorForGroupError, for_code
from aiokafka.protocol.commit import OffsetFetchRequest


def heed_the_groups_errors(consumer: AIOKafkaConsumer) -> None:
    """For a consumer that has been started. What passes is asked again by aiokafka itself, once it is told."""
    coordinator = cast("Any", consumer)._coordinator  # noqa: SLF001  # aiokafka has no other place for it
    send = coordinator._send_req  # noqa: SLF001

    async def send_and_look(request: Any) -> Any:
        response = await send(request)
        if isinstance(request, OffsetFetchRequest):
            error = for_code(getattr(response, "error_code", NoError.errno))
            if error in (NotCoordinatorForGroupError, GroupCoordinatorNotAvailableError):
                coordinator.coordinator_dead()
            if error is not NoError:
                raise error
        return response

    coordinator._send_req = send_and_look  # noqa: SLF001
