"""Workers are restarted one by one, and come and go, under load: nobody asks in vain, twice, at twice the price or for
long.
"""

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import cast

import pytest

from schemas.participants import STAGES
from schemas.topics import DEAD_LETTERS
from scripts.local.layout import Layout
from scripts.local.parts import Wishes, programs
from scripts.local.stack import LocalStack
from scripts.stack.readiness import holds_within
from scripts.stack.supervised import ProcessState, Status
from scripts.stack.supervisor import Supervisor
from sinks.connection import connect
from tests.integration.kafka_log import KafkaLog
from tests.integration.steady_load import SteadyLoad

pytestmark = [pytest.mark.integration, pytest.mark.timeout(400), pytest.mark.long]
SIMULATOR = ("--latency-ms", "300", "--ttft-ms", "50", "--tokens-per-s", "2000", "--seed", "7")
PER_S = 20
SLOWEST_S = 15.0
"""Two seconds on two cores with little else to do; a second of them is the provider and the waiting for its answer."""
STORED_WITHIN_S = 60


class Fleet:
    """One worker of everything, and more or fewer of them as it goes on."""

    def __init__(self, folder: Path) -> None:
        self._ended: list[ProcessState] = []
        supervisor = Supervisor(on_change=self._note)
        self._wishes = Wishes(simulator=SIMULATOR)
        self._bill = folder / "bill.jsonl"
        self.stack = LocalStack(Layout(folder), self._wishes, lambda _what: None, supervisor=supervisor)

    def _note(self, state: ProcessState) -> None:
        if state.status is not Status.RUNNING:
            self._ended.append(state)

    def start(self, *names: str) -> None:
        """Together. A name is a part's, and for the second and further workers of it a number after a hyphen."""
        arguments = programs(self._wishes)
        self.stack.supervisor.start(*(self.stack.part(name, *arguments[name.partition("-")[0]]) for name in names))

    def stop(self, *names: str) -> None:
        self.stack.supervisor.stop(*names)

    @property
    def ended_badly(self) -> list[ProcessState]:
        return [state for state in self._ended if state.last_exit_status != 0]

    def billed(self) -> Counter[str]:
        """Every line of the provider's bill, by the attempt that it is for."""
        lines = self._bill.read_bytes().splitlines()
        return Counter(cast("str", json.loads(line)["client_request_id"]) for line in lines)

    def attempts(self, name: str) -> list[str]:
        """Those of one load that can be seen in ClickHouse."""
        statement = "SELECT attempt_id FROM {database:Identifier}.calls WHERE startsWith(request_id, {name:String})"
        parameters = {"database": self.stack.clickhouse.database, "name": f"{name}-"}
        with closing(connect(self.stack.clickhouse)) as connection:
            return [str(row[0]) for row in connection.query(statement, parameters).result_rows]


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    fleet = Fleet(tmp_path_factory.mktemp("deploy"))
    with fleet.stack:
        yield fleet


def begun(load: SteadyLoad) -> bool:
    return holds_within(60, lambda: len(load.answered_s) > PER_S)


def check(fleet: Fleet, load: SteadyLoad, name: str) -> None:
    asked = len(load.asked_s)
    assert Counter(answer.status for answer in load.answers) == {"ok": asked}  # and so nobody was answered twice
    assert load.waits_s[-1] < SLOWEST_S, load.waits_s[-20:]
    assert holds_within(STORED_WITHIN_S, lambda: len(fleet.attempts(name)) >= asked)
    attempts = fleet.attempts(name)
    assert len(attempts) == asked
    billed = fleet.billed()
    assert {attempt: billed[attempt] for attempt in attempts} == dict.fromkeys(attempts, 1)
    assert fleet.ended_badly == []
    with closing(KafkaLog(fleet.stack.kafka)) as log:
        assert log.read(DEAD_LETTERS) == []


def test_a_rolling_restart_of_every_worker_fails_doubles_and_delays_no_request(fleet: Fleet) -> None:
    seconds = [f"{part}-2" for part in (*STAGES, "sink")]
    fleet.start(*seconds)
    paid_before = fleet.billed().total()
    with SteadyLoad(fleet.stack.kafka, "rolling", per_s=PER_S) as load:
        assert begun(load)
        pairs = [(part, f"{part}-2") for part in ("sink", *reversed(STAGES))]
        for worker in ("watch", *(worker for pair in pairs for worker in pair)):
            fleet.stop(worker)
            fleet.start(worker)
    check(fleet, load, "rolling")
    assert fleet.billed().total() == paid_before + len(load.asked_s)
    fleet.stop(*seconds)


def test_from_one_worker_to_four_and_back_no_request_fails_is_doubled_or_delayed(fleet: Fleet) -> None:
    paid_before = fleet.billed().total()
    with SteadyLoad(fleet.stack.kafka, "scaling", per_s=PER_S) as load:
        assert begun(load)
        for part in (*STAGES, "sink"):
            more = [f"{part}-{number}" for number in (2, 3, 4)]
            fleet.start(*more)
            for worker in more:
                fleet.stop(worker)
    check(fleet, load, "scaling")
    assert fleet.billed().total() == paid_before + len(load.asked_s)
