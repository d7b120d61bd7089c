"""Nothing is done or said in a tenant's name unless its key was shown, and no key travels any further."""

from typing import Any

import pytest

from schemas.flow import Accepted
from streams.control import ControlView
from streams.runtime.delivery import Headers
from streams.runtime.outcome import Finish, Outcome
from streams.runtime.stage import Stateless
from streams.stages.validate import decide
from tests.unit.examples import (
    KEY,
    KEY_SHA256,
    bearing,
    control,
    delivery,
    finished,
    forwarded,
    request_json,
    tenant,
    view,
)

# the tokenizer's package opens its vocabulary, once, with a function that Python 3.11 deprecates
pytestmark = pytest.mark.filterwarnings("ignore:open_binary is deprecated:DeprecationWarning")

OTHER_KEY = "sk-canary-of-somebody-else"
LOCKED = control(tenant(open_=False, key_sha256=("0" * 64, KEY_SHA256)), tenant("globex"))


def outcome_of(value: bytes, *, configured: ControlView | None = None, **changes: Any) -> Outcome:
    delivered = delivery(value, **changes)
    return decide(delivered, view(Stateless(), control=configured, delivery=delivered))


def accepted(value: bytes, **changes: Any) -> Accepted:
    (sent,) = forwarded(outcome_of(value, **changes))
    assert isinstance(sent.event, Accepted), sent.event
    return sent.event


@pytest.mark.parametrize(
    ("headers", "advice"),
    [
        ((), "is missing"),
        (bearing(OTHER_KEY), "not this tenant's"),
        ((("authorization", KEY.encode()),), "must be `Bearer <key>`"),
        ((("authorization", None),), "must be `Bearer <key>`"),
        ((("authorization", b"Bearer \xff"),), "must be `Bearer <key>`"),
        (bearing(KEY) + bearing(KEY), "more than once"),
    ],
    ids=["none", "another's", "without bearer", "null", "not text", "twice"],
)
@pytest.mark.parametrize("value", [request_json(), request_json(colour=1), request_json(task="t" * 5_000_000)])
def test_without_the_tenants_key_nothing_is_answered_in_its_name(headers: Headers, advice: str, value: bytes) -> None:
    completion = finished(outcome_of(value, configured=LOCKED, headers=headers))

    assert completion.status == "rejected"
    assert completion.failure is not None
    assert (completion.failure.code, completion.failure.field) == ("unauthenticated", "authorization")
    assert advice in completion.failure.message
    assert completion.ticket.tenant_id is None
    assert completion.ticket.user_id is None
    assert completion.ticket.labels == {}
    assert completion.ticket.identity == "?/llm.requests/0/7"


def test_a_key_of_one_tenant_is_no_key_of_another() -> None:
    both = control(
        tenant("acme", open_=False, key_sha256=(KEY_SHA256,)), tenant("globex", open_=False, key_sha256=("1" * 64,))
    )

    assert accepted(request_json(), configured=both, headers=bearing(KEY)).ticket.tenant_id == "acme"
    completion = finished(outcome_of(request_json(tenant_id="globex"), configured=both, headers=bearing(KEY)))
    assert completion.ticket.tenant_id is None


@pytest.mark.parametrize("position", [0, 1, 2])
def test_any_of_a_tenants_keys_proves_it_wherever_it_stands(position: int) -> None:
    hashes = [str(number) * 64 for number in range(3)]
    hashes[position] = KEY_SHA256

    rotating = control(tenant(open_=False, key_sha256=tuple(hashes)))

    assert accepted(request_json(), configured=rotating, headers=bearing(KEY)).ticket.tenant_id == "acme"


@pytest.fixture
def compared(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """Every comparison of hashes, given and known."""
    seen: list[tuple[str, str]] = []

    def noting(given: str, known: str) -> bool:
        seen.append((given, known))
        return given == known

    monkeypatch.setattr("streams.stages.validate.hmac.compare_digest", noting)
    return seen


def test_every_hash_is_compared_even_after_one_has_matched(compared: list[tuple[str, str]]) -> None:
    hashes = (KEY_SHA256, "1" * 64, "2" * 64)

    accepted(request_json(), configured=control(tenant(open_=False, key_sha256=hashes)), headers=bearing(KEY))

    assert compared == [(KEY_SHA256, known) for known in hashes]


@pytest.mark.parametrize(
    ("tenant_id", "configured"),
    [
        ("nobody", control()),
        ("acme", control(tenant(enabled=False, key_sha256=("1" * 64,)))),
        ("acme", control(tenant(open_=False))),
    ],
    ids=["unknown", "off", "without keys"],
)
def test_where_no_key_can_prove_anything_it_is_hashed_and_compared_all_the_same(
    compared: list[tuple[str, str]], tenant_id: str, configured: ControlView
) -> None:
    """Or else the time an answer takes would tell which tenants there are."""
    outcome = outcome_of(request_json(tenant_id=tenant_id), configured=configured, headers=bearing(KEY))

    assert finished(outcome).status == "rejected"
    assert [given for given, _ in compared] == [KEY_SHA256]


def test_a_tenant_without_keys_that_is_not_open_lets_nobody_in() -> None:
    closed = control(tenant(open_=False))

    assert finished(outcome_of(request_json(), configured=closed, headers=bearing(KEY))).ticket.tenant_id is None


def test_an_unknown_tenant_is_told_so_under_no_tenants_name() -> None:
    completion = finished(outcome_of(request_json(tenant_id="nobody")))

    assert completion.failure is not None
    assert (completion.failure.code, completion.failure.field) == ("unknown_tenant", "tenant_id")
    assert completion.ticket.tenant_id is None


def test_a_tenant_that_is_switched_off_is_turned_away_whatever_it_holds() -> None:
    off = control(tenant(enabled=False, open_=False, key_sha256=(KEY_SHA256,)))

    for value in (request_json(), request_json(colour=1)):
        completion = finished(outcome_of(value, configured=off, headers=bearing(KEY)))
        assert completion.ticket.tenant_id is None
        assert completion.status == "rejected"


@pytest.mark.parametrize("tenant_id", ["acme" + "x" * 60, "a" * 64 + "/more", "a" * 1_000_000])
def test_a_tenant_whose_name_only_begins_like_a_known_one_is_a_stranger(tenant_id: str) -> None:
    known = control(tenant("a" * 64), tenant("acme"))

    completion = finished(outcome_of(request_json(tenant_id=tenant_id), configured=known))

    assert completion.ticket.tenant_id is None
    assert completion.failure is not None
    assert completion.failure.field == "tenant_id"
    assert len(completion.failure.message) < 1_000


@pytest.mark.parametrize("tenant_id", [..., None, "", 5, ["acme"], {"name": "acme"}])
def test_who_names_no_tenant_is_told_that_it_is_missing(tenant_id: object) -> None:
    completion = finished(outcome_of(request_json(tenant_id=tenant_id)))

    assert completion.ticket.tenant_id is None
    assert completion.failure is not None
    assert completion.failure.field == "tenant_id"


@pytest.mark.parametrize("headers", [bearing(KEY), bearing(OTHER_KEY)])
@pytest.mark.parametrize("value", [request_json(), request_json(colour=1)])
def test_the_key_goes_no_further_than_validation(value: bytes, headers: Headers) -> None:
    outcome = outcome_of(value, configured=LOCKED, headers=headers)

    written = outcome.completion.encode() if isinstance(outcome, Finish) else forwarded(outcome)[0].event.encode()

    assert KEY.encode() not in written
    assert OTHER_KEY.encode() not in written
