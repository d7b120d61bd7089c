"""Limit: an id is decided once, nobody gets or spends more than allowed, and both are known after every crash."""

from collections import defaultdict
from collections.abc import Iterable
from decimal import Decimal
from typing import Any, cast

from msgspec.structs import replace

from schemas.account import Account, Registration
from schemas.call import CallRow
from schemas.control import Limits
from schemas.flow import Accepted, Admitted, Completion
from schemas.money import Budget
from schemas.topics import ACCOUNTS, ADMITTED, BUDGETS, CALLS, COMPLETIONS, DEFERRED, VALIDATED
from schemas.usage import Cost, Usage
from streams.runtime.stage import State
from streams.stages import limit
from tests.fakes.call_rows import UNKNOWN, call_row
from tests.fakes.kafka.log import Stored
from tests.simulated.burials import add_unfit, doomed
from tests.simulated.scenario import Scenario
from tests.simulated.world import World, synchronous
from tests.unit.examples import DIGEST, OTHER_DIGEST, accepted, deployment, route, tenant

PER_MINUTE, BURST = 6, 4
USERS = (None, "ada", "bob")
TENANTS = ("acme", "globex", "initech")
PATIENT = "initech"
"""What is over a limit of this one waits."""
COST, MOST_USD = Decimal("0.0007"), Decimal("0.0025")
"""Of one call, which is held with 0.0010265, and of a tenant in a month."""
OF_UNKNOWN_COST = ("r-3", "r-7")


def feed(world: World) -> None:
    limits = Limits(requests_per_minute=PER_MINUTE, burst_requests=BURST, tokens_per_minute=60_000)
    of_users = Limits(tokens_per_minute=30_000)
    tenants = (
        tenant(
            name,
            limits=limits,
            user_limits=of_users,
            on_limit="defer" if name == PATIENT else "reject",
            defer_max_s=world.random.choice((5, 30)),
        )
        for name in TENANTS
    )
    budgets = (Budget(name=f"{name}-month", tenant=name, period="month", usd=str(MOST_USD)) for name in TENANTS)
    world.configure(deployment(models={"gpt-5-mini": "gpt-5-mini"}), route(), *tenants, *budgets)
    world.on_written(ADMITTED, lambda stored: _call(world, stored))
    doom, spoil = (replace(accepted(), ticket=doomed(number)) for number in (0, 1))
    add_unfit(world, VALIDATED, doom, spoil, "input_tokens")
    after_ms = 0
    for _ in range(world.random.randint(4, 16)):
        after_ms += world.random.choice((0, 20, 400))
        asked = accepted(
            f"r-{world.random.randrange(10)}",
            tenant_id=world.random.choice(TENANTS),
            user_id=world.random.choice(USERS),
            digest=DIGEST if world.random.random() < 0.8 else OTHER_DIGEST,
        )
        world.write(VALIDATED, asked, key=asked.ticket.tenant_id or "", after_ms=after_ms)


def _call(world: World, stored: Stored) -> None:
    """The request is carried out, and its tokens are booked, sometimes twice."""
    ticket = Admitted.decode(stored.value or b"").ticket
    row = call_row(
        request_id=ticket.request_id,
        tenant_id=ticket.tenant_id,
        user_id=ticket.user_id,
        attempt_id=f"attempt-{ticket.identity}",
        usage=Usage(uncached_input_tokens=10, text_output_tokens=40),
        cost=UNKNOWN if ticket.request_id in OF_UNKNOWN_COST else Cost(status="priced", total_usd=COST),
    )
    for _ in range(world.random.choice((1, 1, 2))):
        world.write(CALLS, row, key=ticket.tenant_id or "", after_ms=world.random.randrange(2_000))


def judge(world: World) -> list[str]:
    asked = {event.ticket.identity for event in world.events(VALIDATED, Accepted)}
    admitted = {event.ticket.identity for event in world.events(ADMITTED, Admitted)}
    refused = {event.ticket.identity for event in world.events(COMPLETIONS, Completion)}
    wrong = [f"{identity} led to nothing" for identity in sorted(asked - admitted - refused)]
    wrong += [f"{identity} was admitted and refused" for identity in sorted(admitted & refused)]
    times = [stored.timestamp_ms for stored in world.cluster.records(world.kafka.topic(VALIDATED))]
    ends = [stored.timestamp_ms for stored in world.cluster.records(world.kafka.topic(ADMITTED))]
    for name in TENANTS:
        span_ms = max((*times, *ends) if name == PATIENT else times) - min(times)
        most = BURST + PER_MINUTE * span_ms / 60_000 + 1
        count = sum(identity.startswith(f"{name}/") for identity in admitted)
        if count > most:
            wrong.append(f"{count} requests of {name} were admitted, {most:.1f} is the most")
    return wrong + _overtaken(world) + _overspent(world, admitted)


def _overtaken(world: World) -> list[str]:
    """Nobody whose requests wait is let in before what it asked before, as far as that is let in at all."""
    wrong: list[str] = []
    let_in: dict[str | None, list[int]] = defaultdict(list)
    known: set[str] = set()
    for stored in world.history:
        if stored.topic != world.kafka.topic(ACCOUNTS):
            continue
        change = Registration.decode(stored.value or b"")
        goes_on = change.refusal is None and change.deferred_until_ms is None
        if change.tenant_id == PATIENT and goes_on and change.request_id not in known:
            known.add(change.request_id)
            let_in[change.user_id].append(change.offset)
    for user, offsets in let_in.items():
        if offsets != sorted(offsets):
            wrong.append(f"{user} of {PATIENT} was let in in this order: {offsets}")
    return wrong


def _overspent(world: World, admitted: Iterable[str]) -> list[str]:
    """All that is known of a cost is counted once, whatever was lost or came twice; and it is within the budget."""
    known: dict[str, Decimal] = dict.fromkeys(TENANTS, Decimal(0))
    rows = {row.attempt_id: row for row in world.events(CALLS, CallRow)}
    for row in rows.values():
        if row.cost.total_usd is not None and f"{row.tenant_id}/{row.request_id}" in admitted:
            known[row.tenant_id] += row.cost.total_usd
    accounts = {account.tenant_id: account for account in world.events(BUDGETS, Account)}
    wrong: list[str] = []
    for name, usd in known.items():
        account = accounts.get(name)
        counted = Decimal(0) if account is None else account.spent_usd - account.guessed_usd
        if counted != usd:
            wrong.append(f"{name} has {counted} USD on its account, and rows of {usd}")
        if account is not None and account.spent_usd > MOST_USD:
            wrong.append(f"{name} has spent {account.spent_usd} of {MOST_USD} USD")
    return wrong


def leaves_nothing(world: World, stored: Stored) -> bool:
    """A repetition of what is decided already, or a row with nothing to settle."""
    before = [
        each
        for each in world.cluster.log((stored.topic, stored.partition)).records
        if each.offset < stored.offset and world.unfit(each) is None
    ]
    if stored.topic == world.kafka.topic(DEFERRED):  # one of several may be looked at when another has gone on
        return True
    if stored.topic == world.kafka.topic(CALLS):
        row = CallRow.decode(stored.value or b"")
        earlier = [CallRow.decode(each.value or b"").attempt_id for each in before]
        return row.attempt_id in earlier
    mine = Accepted.decode(stored.value or b"")
    asked = [Accepted.decode(each.value or b"") for each in before]
    first = next((each for each in asked if each.ticket.identity == mine.ticket.identity), None)
    return first is not None and first.digest == mine.digest


def picture(_world: World, state: State) -> Any:
    known = cast("Any", state)
    spending = known.spending
    waiting = {
        name: {line: [*each] for line, each in crowd._lines.items()} for name, crowd in known.waiting._crowds.items()
    }
    return dict(known._meters), dict(known._registered), dict(spending._accounts), dict(spending._held), waiting


LIMIT = Scenario("limit", synchronous(limit.STAGE), feed, judge, leaves_nothing, picture)
