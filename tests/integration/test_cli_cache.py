"""Answers that are kept are taken back with a record of who said so, and put there again from the log."""

import time
from pathlib import Path

import pytest
from msgspec.structs import replace

from schemas.audit import Audit
from schemas.cached import Fill
from schemas.control import Tenant
from schemas.flow import Admitted, Saved
from schemas.partition import partition_for
from schemas.topics import AUDIT, CACHE, COMPLETIONS, CONTROL
from schemas.usage import Usage
from scripts.cli.cache_topic import read_kept
from scripts.cli.kafka import LiveCluster
from scripts.cli.topic_reader import TopicReader
from streams.settings import KafkaSettings
from tests.integration.millrace import Millrace, Scribe, environment_of
from tests.unit.examples import admitted, answer, attempt, completion, slot_of, ticket

pytestmark = pytest.mark.integration

QUESTIONS = {name: admitted(name, text=f"What is {name}?") for name in ("ripe", "red", "round")}


@pytest.fixture(autouse=True)
def _away_from_any_local_stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def scribe(kafka: KafkaSettings) -> Scribe:
    scribe = Scribe(kafka)
    scribe.make(CACHE, AUDIT, CONTROL, COMPLETIONS)
    tenant = Tenant(name="acme", open=True, cache_ttl_s=3_600)
    scribe.write(CONTROL, tenant.encode(), key=b"tenant/acme")
    return scribe


@pytest.fixture
def millrace(kafka: KafkaSettings) -> Millrace:
    return Millrace(environment_of(kafka))


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def keep(scribe: Scribe, kafka: KafkaSettings, event: Admitted) -> None:
    slot = slot_of(event)
    fill = Fill(
        namespace=slot.namespace,
        entry=slot.entry,
        answer=answer(),
        saved=Saved(request_id=event.ticket.request_id, usage=Usage(), cost_usd=None),
        stored_at_ms=now_ms() - 1_000,
        expires_at_ms=now_ms() + 3_600_000,
    )
    partition = partition_for(slot.namespace.encode(), kafka.partitions)
    scribe.write(CACHE, fill.encode(), key=slot.entry.encode(), partition=partition)


def kept(kafka: KafkaSettings) -> set[str]:
    """Whose answers a worker that starts now would give."""
    cluster = LiveCluster(kafka, {kafka.topic(CACHE): kafka.partitions})
    return {fill.saved.request_id for state in read_kept(cluster, now_ms()).values() for fill in state.fills()}


def test_answers_are_counted_taken_back_for_every_worker_and_who_and_why_is_recorded(
    scribe: Scribe, kafka: KafkaSettings, millrace: Millrace
) -> None:
    for event in QUESTIONS.values():
        keep(scribe, kafka, event)
    words = ("cache", "invalidate", "--tenant", "acme", "--response", "red", "--reason", "it was wrong", "--by", "ada")

    tried = millrace(*words, "--dry-run")
    assert tried.status == 0, tried.err
    assert tried.out.startswith("1 answers would be taken back")
    assert kept(kafka) == set(QUESTIONS)

    assert millrace(*words, "--json").json == {"answers": 1, "cost_usd": "0", "taken_back": True}
    assert kept(kafka) == {"ripe", "round"}
    with TopicReader(LiveCluster(kafka, {kafka.topic(AUDIT): 1}), AUDIT) as reader:
        (record,) = reader.read(reader.spans())
    audit = Audit.decode(record.value or b"")
    assert (audit.action, audit.subject, audit.by, audit.reason) == (
        "cache_invalidated",
        "tenant/acme",
        "ada",
        "it was wrong",
    )
    assert (audit.detail["response"], audit.detail["answers"]) == ("red", "1")

    assert millrace("cache", "invalidate", "--tenant", "acme", "--reason", "all of it").status == 0
    assert kept(kafka) == set()


def test_what_the_log_still_has_is_put_back_unless_it_was_taken_back_or_its_time_is_over(
    scribe: Scribe, kafka: KafkaSettings, millrace: Millrace
) -> None:
    keep(scribe, kafka, QUESTIONS["round"])
    for name, age_s in (("ripe", 60), ("red", 7_200), ("round", 90)):
        event = QUESTIONS[name]
        at_ms = now_ms() - age_s * 1_000
        ended = completion(
            ticket=replace(ticket(name), stamps={"cache": at_ms - 500}), slot=slot_of(event), attempts=(attempt(),)
        )
        scribe.write(COMPLETIONS, ended.encode(), key=name.encode(), timestamp_ms=at_ms)

    tried = millrace("cache", "warm", "--from", "24h", "--dry-run", "--json").json
    assert (tried["answers"], tried["written"]) == (1, False)
    assert kept(kafka) == {"round"}

    done = millrace("cache", "warm", "--from", "24h")
    assert done.status == 0, done.err
    assert done.out.startswith("1 answers put back; to have them cost 0.0000")
    assert kept(kafka) == {"ripe", "round"}

    assert millrace("cache", "invalidate", "--tenant", "acme", "--reason", "wrong").status == 0
    assert millrace("cache", "warm", "--from", "24h", "--json").json["answers"] == 0
    assert kept(kafka) == set()


def test_who_or_what_nobody_knows_is_not_taken_back_unless_it_is_meant(
    scribe: Scribe, kafka: KafkaSettings, millrace: Millrace
) -> None:
    for event in QUESTIONS.values():
        keep(scribe, kafka, event)

    def told(*words: str) -> tuple[int, str]:
        done = millrace("cache", "invalidate", "--reason", "wrong", *words)
        return done.status, done.err

    status, said = told("--tenant", "acmee")
    assert (status, "there is no tenant acmee" in said, "--force" in said) == (1, True, True)
    status, said = told("--tenant", "acme", "--response", "rde")
    assert (status, "no answer to request rde of tenant acme is kept, and none is being asked for" in said) == (1, True)
    status, said = told("--tenant", "acme", "--namespace", "faq-v4", "--dry-run")
    assert (status, "no answer of tenant acme is kept in namespace faq-v4" in said) == (1, True)
    assert kept(kafka) == set(QUESTIONS)
    with TopicReader(LiveCluster(kafka, {kafka.topic(AUDIT): 1}), AUDIT) as reader:
        assert list(reader.read(reader.spans())) == [], "nothing was said to be taken back"

    assert told("--tenant", "acmee", "--force") == (0, "")
    assert told("--tenant", "acme", "--response", "red") == (0, "")
    assert told("--tenant", "acme") == (0, "")
    assert told("--tenant", "acme") == (0, ""), "all of a tenant that has none can be no mistake"


def test_the_log_is_put_back_oldest_first_whatever_partitions_it_is_on(
    scribe: Scribe, kafka: KafkaSettings, millrace: Millrace
) -> None:
    names = [f"q-{number}" for number in range(12)]
    for number, name in enumerate(names):
        event, at_ms = admitted(name, text=f"What is {name}?"), now_ms() - 600_000 + number * 1_000
        ended = completion(ticket=ticket(name), slot=slot_of(event), attempts=(attempt(),))
        scribe.write(COMPLETIONS, ended.encode(), key=name.encode(), partition=number % 2, timestamp_ms=at_ms)

    done = millrace("cache", "warm", "--from", "1h")

    assert done.out.startswith("12 answers put back")
    with TopicReader(LiveCluster(kafka, {kafka.topic(CACHE): kafka.partitions}), CACHE) as reader:
        fills = [Fill.decode(record.value or b"") for record in reader.read(reader.spans())]
    assert [fill.saved.request_id for fill in fills] == names


@pytest.mark.usefixtures("scribe")
def test_bad_words_are_told_by_their_option(millrace: Millrace) -> None:
    assert "--reason is empty" in millrace("cache", "invalidate", "--tenant", "acme", "--reason", " ").err
    bad = millrace("cache", "invalidate", "--tenant", "acme", "--reason", "x", "--namespace", "a/b")
    assert (bad.status, "--namespace 'a/b'" in bad.err) == (2, True)
    assert "there is no tenant nobody" in millrace("cache", "warm", "--tenant", "nobody").err
