"""What it costs `limit` that many users of one tenant wait: `python -m scripts.measure.deferral`.

The stage's own decisions without Kafka, by a clock that is moved on: each user has asked twice and may ask once a
minute, so that of each one request waits. Then a second in which nobody can go on; newcomers of users who have asked
nothing yet; and the minute in which everybody goes on.
"""

import argparse
import time
from dataclasses import dataclass

from msgspec import Raw

from schemas.account import Registration
from schemas.control import Limits, Tenant
from schemas.flow import Accepted, Admitted, Deferred, PromptSummary, Ticket
from schemas.topics import DEFERRED, VALIDATED, Topic
from schemas.wire import Origin
from streams.control import ControlView, with_object
from streams.runtime.delivery import Delivery
from streams.runtime.outcome import Forward, Park
from streams.runtime.partition import Parked, PartitionWork
from streams.runtime.stage import View
from streams.stages.limit import decide
from streams.state.accounts import Accounts

USERS = (500, 2_000)
NEWCOMERS = 200
BEGINS_MS = 1_795_000_000_000
MINUTE_MS = 60_000
STEP_MS = 100
"""The worker looks as often at who is due."""
_TENANT = "acme"


@dataclass(frozen=True, slots=True)
class Measured:
    idle_ms: float
    """Of a core, for a second in which nobody can go on."""
    newcomer_us: float
    going_on_us: float
    """Of all that is done in the minute in which everybody goes on, for each of them."""


class Bench:
    """One partition of `limit`."""

    def __init__(self, limits: Limits) -> None:
        of_users = Limits(requests_per_minute=1, burst_requests=1)
        tenant = Tenant(name=_TENANT, open=True, on_limit="defer", limits=limits, user_limits=of_users)
        self.control = with_object(ControlView(), tenant, 0)
        self.state = Accounts()
        self.work = PartitionWork(self.state)
        self.now_ms = BEGINS_MS
        self.admitted = 0
        self._offsets = {VALIDATED.name: 0, DEFERRED.name: 0}

    def ask(self, user: int) -> None:
        """What is put off is read back at once."""
        name = f"r-{self._offsets[VALIDATED.name]}"
        ticket = Ticket(
            request_id=name,
            tenant_id=_TENANT,
            user_id=f"user-{user}",
            model="gpt-5-mini",
            origin=Origin(topic="llm.requests", partition=0, offset=0),
            produced_at_ms=self.now_ms,
        )
        summary = PromptSummary(namespace=_TENANT, entry=f"{_TENANT}/{name}", max_tokens=None, wants_json=False)
        prompt = Raw(b'{"messages":[]}')
        self._take(
            VALIDATED, Accepted(ticket=ticket, prompt=prompt, digest="c0" * 32, input_tokens=100, summary=summary)
        )

    def look(self) -> None:
        held = self.work.due(self.now_ms) + self.work.woken()
        while held:
            for each in held:
                self._decide(each, each.since_ms)
            held = self.work.woken()

    def _take(self, topic: Topic, event: Accepted | Deferred) -> None:
        offset = self._offsets[topic.name]
        self._offsets[topic.name] += 1
        delivery = Delivery(
            topic=topic.name, partition=0, offset=offset, timestamp_ms=self.now_ms, key=None, value=b"{}", headers=()
        )
        self._decide(Parked(delivery, event, self.now_ms, 0), None)

    def _decide(self, held: Parked, parked_ms: int | None) -> None:
        outcome = decide(held.event, View(self.control, self.state, self.now_ms, held.delivery, parked_ms))
        match outcome:
            case Park(on, until_ms):
                since_ms = self.now_ms if parked_ms is None else parked_ms
                self.work.park(on, Parked(held.delivery, held.event, since_ms, until_ms))
            case Forward(records):
                for record in records:
                    if isinstance(record.event, Registration):
                        self.work.wake(self.state.apply(record.event, self.now_ms))
                for record in records:
                    self.admitted += isinstance(record.event, Admitted)
                    if isinstance(record.event, Deferred):
                        self._take(DEFERRED, record.event)
            case _:
                raise AssertionError(outcome)


def measured(users: int, limits: Limits) -> Measured:
    bench = Bench(limits)
    for time_round in range(2):
        for user in range(users):
            bench.now_ms = BEGINS_MS + user * MINUTE_MS // users // 2 + time_round  # not all of them at one moment
            bench.ask(user)
    bench.now_ms = BEGINS_MS + MINUTE_MS // 2
    _looked(bench, 1_000)
    idle_s = _looked(bench, 1_000)

    began_s = time.process_time()
    for user in range(NEWCOMERS):
        bench.ask(users + user)
    newcomers_s = time.process_time() - began_s

    before = bench.admitted
    going_s = _looked(bench, MINUTE_MS)
    return Measured(idle_s * 1e3, newcomers_s / NEWCOMERS * 1e6, going_s / max(bench.admitted - before, 1) * 1e6)


def _looked(bench: Bench, ms: int) -> float:
    began_s = time.process_time()
    for _ in range(ms // STEP_MS):
        bench.now_ms += STEP_MS
        bench.look()
    return time.process_time() - began_s


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m scripts.measure.deferral", description=__doc__)
    parser.add_argument("--users", type=int, nargs="+", default=list(USERS), help="how many wait")
    users: list[int] = parser.parse_args().users
    print(f"{'over the limit of':<19}{'users':>7}{'idle, ms a second':>19}{'newcomer, us':>14}{'who goes on, us':>17}")
    for count in users:
        kinds = {"its user": Limits(requests_per_minute=100 * count), "its tenant": Limits(requests_per_minute=count)}
        for kind, limits in kinds.items():
            found = measured(count, limits)
            print(f"{kind:<19}{count:>7}{found.idle_ms:>19.1f}{found.newcomer_us:>14.0f}{found.going_on_us:>17.0f}")


if __name__ == "__main__":
    main()
