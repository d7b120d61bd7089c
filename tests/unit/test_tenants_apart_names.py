"""No two tenants, however they are named, and no two things of one tenant, ever share a key."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from schemas.control import Limits, Tenant
from schemas.flow import Accepted
from schemas.topics import ACCOUNTS
from streams.questions import entry_of, namespace_of
from streams.runtime.outcome import Finish
from streams.runtime.stage import Stateless
from streams.stages import limit, validate
from streams.state.accounts import Accounts
from tests.unit.examples import NOW_MS, accepted, control, delivery, prompt, records_of, request_json, tenant, view

NAMES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,6}", fullmatch=True)
IDS = st.text(st.characters(exclude_categories=["C"]), min_size=1, max_size=6).filter(lambda text: text.strip())
LIMITS = Limits(requests_per_minute=9, tokens_per_minute=9_000)
ODD = ("", "/", "a/b", "acme/", "/acme", "ácme", "акме", "acme\n", "acme ", " acme", "?", "-", ".", "a" * 65, "ac\0me")


def accounted(asked: Accepted) -> tuple[str, Accounts]:
    """The key of what is written, and what is known after it."""
    configured = control(tenant(asked.ticket.tenant_id or "", limits=LIMITS, user_limits=LIMITS))
    accounts = Accounts()
    outcome = limit.decide(asked, view(accounts, control=configured))
    (written,) = [record for record in records_of(outcome) if record.topic is ACCOUNTS]
    accounts.apply(written.event, NOW_MS)
    return written.key, accounts


@given(NAMES, NAMES, IDS, IDS, st.sampled_from(["Is it ripe?", "Is it rotten?"]))
def test_what_is_kept_of_two_tenants_lies_under_different_keys(
    one: str, other: str, request_id: str, user_id: str, text: str
) -> None:
    asked = [accepted(request_id, tenant_id=name, user_id=user_id, prompt=prompt(text)) for name in (one, other)]
    (first, accounts), (second, _) = map(accounted, asked)
    assert (first == second) is (one == other)
    for user in (None, user_id):
        assert accounts.meters(one, user) is not None
        assert (accounts.meters(other, user) is None) is (one != other)
    spaces = {namespace_of(name, each.ticket, prompt(text)) for name, each in zip((one, other), asked, strict=True)}
    assert len(spaces) == len({one, other})
    assert len({entry_of(space, prompt(text)) for space in spaces}) == len(spaces)
    assert len({each.ticket.identity for each in asked}) == len({one, other})


@given(NAMES, IDS, IDS)
def test_no_id_or_user_of_a_tenant_shares_a_key_with_another(name: str, one: str, other: str) -> None:
    first, accounts = accounted(accepted(one, tenant_id=name, user_id=one))
    second, _ = accounted(accepted(other, tenant_id=name, user_id=other))
    assert (first == second) is (one == other)
    assert (accounts.meters(name, other) is None) is (one != other)


@pytest.mark.parametrize("name", ODD)
def test_a_name_that_could_be_read_as_part_of_a_key_is_no_tenants(name: str) -> None:
    with pytest.raises(ValidationError):
        Tenant(name=name, open=True)


@pytest.mark.parametrize("name", [*ODD, "Acme", "acme.", "acm"])
def test_a_request_under_such_a_name_speaks_for_nobody(name: str) -> None:
    arrived = delivery(request_json(tenant_id=name))
    outcome = validate.decide(arrived, view(Stateless(), control=control(), delivery=arrived))
    assert isinstance(outcome, Finish)
    assert outcome.completion.ticket.tenant_id is None
    assert outcome.completion.ticket.identity == "?/llm.requests/0/7"
