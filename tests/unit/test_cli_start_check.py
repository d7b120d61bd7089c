"""How a process that had started says why it had to end."""

from errno import EADDRINUSE, ENOSPC

import pytest
from confluent_kafka import KafkaError, KafkaException

from scripts.cli.fault import Broken, Fault, Stopped
from scripts.cli.start_check import running
from scripts.stack.supervised import BROKEN_EXIT_STATUS
from streams.runtime.outbox import DeliveryFailedError
from streams.runtime.spill import SpilledError
from streams.runtime.worker import DrainTimeoutError


@pytest.mark.parametrize(
    "ending",
    [
        KafkaException(KafkaError(KafkaError.GROUP_AUTHORIZATION_FAILED)),
        DeliveryFailedError("a record was not written: Broker: Not enough in-sync replicas"),
        DrainTimeoutError("the broker did not acknowledge within 10000 ms"),
    ],
    ids=lambda each: type(each).__name__,
)
def test_what_a_fresh_start_may_cure_is_a_sentence_with_status_1(ending: Exception) -> None:
    with pytest.raises(Stopped, match=r"^stopped: ") as told, running():
        raise ending
    assert told.value.exit_status == 1


def test_a_release_that_cannot_do_its_work_ends_with_a_status_that_keeps_it_from_being_started_again() -> None:
    with pytest.raises(Broken, match=r"^limit stops: ") as told, running():
        raise SpilledError("limit stops: 20 of its last 20 events became dead letters")
    assert told.value.exit_status == BROKEN_EXIT_STATUS


def test_an_address_that_is_taken_is_told_by_its_variables_and_is_not_tried_again() -> None:
    with (
        pytest.raises(Fault, match=r"^MILLRACE_OBSERVE_HOST and MILLRACE_OBSERVE_PORT name an address") as told,
        running(),
    ):
        raise OSError(EADDRINUSE, "Address already in use")
    assert told.value.exit_status == 2


@pytest.mark.parametrize("bug", [OSError(ENOSPC, "No space left on device"), ZeroDivisionError()])
def test_anything_else_keeps_its_traceback(bug: Exception) -> None:
    with pytest.raises(type(bug)), running():
        raise bug
