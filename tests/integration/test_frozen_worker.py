"""A worker that is frozen until its partitions have a new owner changes nothing when it wakes."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import KafkaError, Message, Producer

from schemas.flow import Admitted
from schemas.response import Response
from schemas.topics import (
    ACCOUNTS,
    ADMITTED,
    BUDGETS,
    CACHE,
    CALLS,
    COMPLETIONS,
    CONTROL,
    DEAD_LETTERS,
    DEFERRED,
    NOTICES,
    RESPONSES,
    TOPICS,
    VALIDATED,
    Topic,
)
from scripts.stack.readiness import holds_within
from streams.clock import now_ms
from streams.runtime.clients import producer_config
from streams.runtime.envelope import Envelope
from streams.runtime.kafka import ConfluentClients
from streams.runtime.outbox import DeliveryFailedError, Outbox
from streams.settings import KafkaSettings
from tests.integration.kafka_log import WITHIN_S
from tests.integration.stage_process import StageProcess
from tests.integration.worker_thread import Bench
from tests.unit.examples import accepted, completion, limited_tenant, ticket

pytestmark = pytest.mark.integration
COUNT = 400
REFUSED = "a record was refused for its time"


@pytest.fixture
def bench(kafka: KafkaSettings) -> Iterator[Bench]:
    with Bench(kafka) as bench:
        bench.configure()
        bench.log.create(DEAD_LETTERS)
        yield bench


@pytest.fixture
def processes() -> Iterator[list[StageProcess]]:
    """To be filled by the test; what still runs is killed."""
    started: list[StageProcess] = []
    yield started
    for process in started:
        process.child.kill()


class Handover:
    """A process that freezes in the middle of a batch, its successor that finishes the work, and its waking."""

    def __init__(self, bench: Bench, processes: list[StageProcess], directory: Path) -> None:
        self._bench = bench
        self._processes = processes
        self._directory = directory

    def freeze(self, stage: str) -> StageProcess:
        ghost = StageProcess(self._bench, self._directory / "ghost", stage, freezes_at=f"r-{COUNT // 2}")
        self._processes.append(ghost)
        assert holds_within(WITHIN_S, lambda: is_stopped(ghost.child.pid))
        return ghost

    def finish_by_another(self, stage: str, source: Topic) -> None:
        self._processes.append(StageProcess(self._bench, self._directory / "next", stage))
        self._bench.log.await_finished(stage, source, COUNT)

    def wake(self, ghost: StageProcess) -> str:
        """Returns what it said, once it has ended."""
        ghost.child.resume()
        assert ghost.child.wait(WITHIN_S) == 1
        return ghost.log.read_text()


def is_stopped(pid: int) -> bool:
    state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    return state == "T"


@pytest.fixture
def handover(bench: Bench, processes: list[StageProcess], tmp_path: Path) -> Handover:
    return Handover(bench, processes, tmp_path)


def test_a_worker_that_wakes_after_its_partitions_moved_answers_nobody_a_second_time(
    bench: Bench, handover: Handover
) -> None:
    bench.log.create(COMPLETIONS, RESPONSES, CALLS, CACHE)
    for number in range(COUNT):
        bench.log.write(COMPLETIONS, completion(ticket=ticket(f"r-{number}")), key=f"r-{number}")
    bench.log.flush()
    ghost = handover.freeze("postprocess")
    handover.finish_by_another("postprocess", COMPLETIONS)
    before = bench.log.read(RESPONSES)

    assert REFUSED in handover.wake(ghost)

    assert bench.log.read(RESPONSES) == before
    answers = Counter(response.request_id for response in bench.log.events(RESPONSES, Response))
    assert answers == {f"r-{number}": 1 for number in range(COUNT)}


def test_a_worker_that_wakes_after_its_partitions_moved_overwrites_no_account(bench: Bench, handover: Handover) -> None:
    bench.log.create(VALIDATED, ADMITTED, DEFERRED, NOTICES, ACCOUNTS, BUDGETS, COMPLETIONS, CALLS)
    bench.log.write(CONTROL, limited_tenant(requests_per_minute=100_000), key="tenant/acme")
    for number in range(COUNT):
        bench.log.write(VALIDATED, accepted(f"r-{number}"), key="acme")
    bench.log.flush()
    ghost = handover.freeze("limit")
    handover.finish_by_another("limit", VALIDATED)
    before = bench.log.read(ADMITTED), bench.log.read(ACCOUNTS)

    assert REFUSED in handover.wake(ghost)

    assert (bench.log.read(ADMITTED), bench.log.read(ACCOUNTS)) == before
    assert {event.ticket.request_id for event in bench.log.events(ADMITTED, Admitted)} == {
        f"r-{number}" for number in range(COUNT)
    }


def test_a_worker_that_knows_it_was_away_for_too_long_sends_nothing(bench: Bench, kafka: KafkaSettings) -> None:
    bench.log.create(COMPLETIONS)  # which would take it
    time_ms = now_ms()
    outbox = Outbox(ConfluentClients(kafka), kafka, "test", lambda: time_ms)
    envelope = Envelope(kafka.topic(COMPLETIONS), 0, b"k", b"{}", [])
    outbox.date(time_ms)
    time_ms += kafka.delivery_timeout_ms
    outbox.send([envelope])
    assert outbox.confirm(WITHIN_S)
    time_ms += 1
    with pytest.raises(DeliveryFailedError, match="away for so long"):
        outbox.send([envelope])
    assert outbox.confirm(WITHIN_S)
    assert len(bench.log.read(COMPLETIONS)) == 1


@pytest.mark.parametrize("topic", TOPICS, ids=lambda topic: topic.name)
def test_brokers_refuse_what_was_decided_too_long_ago_where_it_would_be_acted_on(
    bench: Bench, kafka: KafkaSettings, topic: Topic
) -> None:
    if topic not in (CONTROL, DEAD_LETTERS):
        bench.log.create(topic)
    refused: list[int] = []

    def told(error: KafkaError | None, _message: Message) -> None:
        if error is not None:
            refused.append(error.code())

    producer = Producer({**producer_config(kafka, "test"), "on_delivery": told})
    producer.produce(kafka.topic(topic), b"{}", b"k", 0, timestamp=now_ms() - kafka.delivery_timeout_ms - 500)
    assert producer.flush(WITHIN_S) == 0
    assert refused == ([KafkaError.INVALID_TIMESTAMP] if topic.fenced else [])
