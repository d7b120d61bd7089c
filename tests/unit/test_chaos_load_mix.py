"""What the load sends: the same for the same seed, every kind of it, and each as good or as bad as its kind says."""

from collections import Counter
from collections.abc import Iterator
from hashlib import sha256
from itertools import islice
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from schemas.control import Deployment, Route, Tenant
from schemas.flow import Refused
from schemas.request import Request
from scripts.chaos.load import bad, canaries
from scripts.chaos.load.mix import arrival, records_per_arrival
from scripts.chaos.load.sending import Sending
from scripts.chaos.load.timetable import timetable
from scripts.cli.config_file import parse
from streams.control import ControlView
from streams.runtime.delivery import Delivery
from streams.runtime.outcome import DeadLetter, Finish, Forward
from streams.runtime.stage import Stateless, View
from streams.stages.validate import decide
from tests.unit.chaos_history import NOW_MS

CONFIG = Path(__file__).parents[2] / "scripts" / "chaos" / "load" / "millrace.toml"
URLS = {"openai_base_url": "http://127.0.0.1:1/v1", "anthropic_base_url": "http://127.0.0.1:1"}
UNREADABLE = {"missing_field", "not_json", "too_long_id", "empty"}


@pytest.fixture(scope="module")
def control() -> ControlView:
    objects = parse(CONFIG.read_text(), CONFIG.name, URLS)
    return ControlView(
        tenants={each.name: each for each in objects if isinstance(each, Tenant)},
        deployments={each.name: each for each in objects if isinstance(each, Deployment)},
        routes={each.name: each for each in objects if isinstance(each, Route)},
    )


def sent(count: int = 3_000, seed: int = 1) -> Iterator[tuple[float, Sending]]:
    return islice(timetable(seed, 20.0, NOW_MS), count)


def test_every_kind_of_request_is_sent() -> None:
    kinds = Counter(sending.kind for _, sending in sent(6_000))
    assert {*bad.KINDS} <= kinds.keys()
    assert len(kinds) == 21
    assert kinds["plain"] > 1_000


@given(seed=st.integers(0, 2**31), number=st.integers(0, 100_000))
def test_the_same_seed_sends_the_same(seed: int, number: int) -> None:
    assert arrival(seed, number, NOW_MS) == arrival(seed, number, NOW_MS)


def test_records_are_due_in_order_and_at_the_rate() -> None:
    times = [due_s for due_s, _ in sent(6_000)]
    assert times == sorted(times)
    assert 6_000 / times[-1] == pytest.approx(20, rel=0.1)
    assert records_per_arrival() > 1


def test_good_requests_are_accepted_and_bad_ones_are_not(control: ControlView) -> None:
    for due_s, sending in sent():
        now_ms = NOW_MS + round(due_s * 1000)
        headers = (("authorization", f"Bearer {sending.credentials}".encode()),) if sending.credentials else ()
        delivery = Delivery("llm.requests", 0, 0, sending.key, sending.value, headers, now_ms)
        outcome = decide(delivery, View(control, Stateless(), now_ms, delivery))
        match sending.kind:
            case "empty" | "not_json":
                assert isinstance(outcome, DeadLetter), sending
            case "wrong_key" | "no_key" | "unknown_tenant":
                assert isinstance(outcome, Finish), sending
                assert outcome.completion.ticket.tenant_id is None
            case kind:
                assert isinstance(outcome, Forward), sending
                is_refused = kind in bad.KINDS or kind == "late"
                assert isinstance(outcome.records[0].event, Refused) is is_refused, sending


def test_what_is_meant_to_be_readable_is() -> None:
    for _, sending in sent():
        if sending.kind in UNREADABLE:
            with pytest.raises(ValidationError):
                Request.decode(sending.value or b"")
        else:
            assert Request.decode(sending.value or b"").request_id == sending.request_id


def test_repeated_ids_have_the_same_content_and_reused_ones_another() -> None:
    by_id: dict[tuple[str | None, str | None], list[Sending]] = {}
    for _, sending in sent(6_000):
        by_id.setdefault((sending.tenant_id, sending.request_id), []).append(sending)
    twice = [both for both in by_id.values() if len(both) == 2 and both[0].request_id]
    assert {both[0].kind for both in twice} >= {"repeated", "reused_id"}
    for first, second in twice:
        assert (first.value == second.value) is (first.kind == "repeated")


def test_tenants_ask_the_same_at_once_and_their_other_prompts_are_their_own() -> None:
    for _, sending in sent():
        found = canaries.owners((sending.value or b"").decode())
        assert found <= {sending.tenant_id or "", *canaries.TENANTS}
        if sending.kind == "shared_across_tenants":
            assert not found


def test_no_key_is_in_a_record_and_the_configuration_knows_only_hashes(control: ControlView) -> None:
    assert all(canaries.KEY.encode() not in (sending.value or b"") for _, sending in sent())
    for tenant, key in canaries.keys().items():
        assert control.tenants[tenant].key_sha256 == (sha256(key.get_secret_value().encode()).hexdigest(),)
    assert canaries.KEY not in CONFIG.read_text()
