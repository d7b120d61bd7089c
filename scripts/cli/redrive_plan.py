"""What would become of several dead letters, and making it so."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from time import time_ns
from typing import assert_never

from schemas.audit import Audit
from schemas.topics import TOPICS
from scripts.cli.control_topic import read_control
from scripts.cli.dead_letter import DeadLetter
from scripts.cli.dead_letters import Buried
from scripts.cli.kafka import LiveCluster
from scripts.cli.operator_word import audited, tell_all
from scripts.cli.producer import ConfirmedProducer
from scripts.cli.redrive import Consent, Grounds, doubt_of, redrive, redriven_from
from scripts.cli.redrive_outcome import DoneAgain, PutBack, Redrive, Unfit
from scripts.cli.redrive_past import SUBJECT, Past
from scripts.cli.redrive_question import tenant_in
from streams.runtime.delivery import Delivery
from streams.runtime.envelope import OversizedRecordError, seal
from streams.runtime.outcome import Record
from streams.settings import KafkaSettings


@dataclass(frozen=True, slots=True)
class Planned:
    """`doubt`: what cannot be told of it, where the operator gives it back all the same."""

    letter: DeadLetter
    record: Delivery
    what: Redrive
    tenant_id: str | None = None
    doubt: str | None = None
    model: str | None = None

    def line(self) -> tuple[str, str, str, str, str]:
        return self.letter.place, self.tenant_id or "", self.letter.stage, self.letter.reason, self.told

    @property
    def told(self) -> str:
        return _told(self.what) if self.doubt is None else f"{_told(self.what)}; unproven: {self.doubt}"

    def shown(self) -> dict[str, str | bool | list[str] | None]:
        again = self.what if isinstance(self.what, DoneAgain) else None
        return {
            "place": self.letter.place,
            "tenant": self.tenant_id,
            "fit": not isinstance(self.what, Unfit),
            "what": _told(self.what),
            "request_id": again.request_id if again else None,
            "root_request_id": again.root_request_id if again else None,
            "lost": [*again.lost] if again else [],
            "unproven": self.doubt,
        }


def planned(
    cluster: LiveCluster, found: Sequence[Buried], past: Past, model: str | None, consents: frozenset[Consent]
) -> list[Planned]:
    if not found:
        return []
    grounds = Grounds(
        control=read_control(cluster).view,
        past=past,
        topics={cluster.settings.topic(topic): topic for topic in TOPICS},
        partitions=cluster.settings.partitions,
        now_ms=time_ns() // 1_000_000,
        model=model,
        consents=consents,
    )
    plans: list[Planned] = []
    going: dict[str, str] = {}
    for letter, record in found:
        plan = _plan(letter, record, grounds, cluster.settings)
        for each in _about(plan):
            if (other := going.setdefault(each, letter.place)) != letter.place:
                plan = replace(plan, what=Unfit(f"is about the same {each} as {other}, which goes back"))
        plans.append(plan)
    return plans


def _about(plan: Planned) -> list[str]:
    """What no two letters that are given back together may be about. A worker that is killed can leave a letter twice,
    and a producer may have sent a request twice.
    """
    match plan.what:
        case PutBack():
            return [f"record {plan.letter.origin}"]
        case DoneAgain(tenant_id=tenant_id, made_good=made_good):
            return [f"record {plan.letter.origin}", f"request {tenant_id}/{made_good}"]
        case Unfit():
            return []
        case _ as unreachable:
            assert_never(unreachable)


def _plan(letter: DeadLetter, record: Delivery, grounds: Grounds, kafka: KafkaSettings) -> Planned:
    what, tenant_id = redrive(letter, record, grounds), tenant_in(record)
    if isinstance(what, Unfit):
        return Planned(letter, record, what, tenant_id)
    if isinstance(what, DoneAgain):
        try:
            seal(_records(what), record, kafka, "cli", grounds.now_ms)
        except OversizedRecordError as problem:
            return Planned(letter, record, Unfit(f"does not fit on its topic: {problem}"), tenant_id)
    return Planned(letter, record, what, tenant_id, doubt_of(letter, record, what, grounds), grounds.model)


def _records(what: DoneAgain) -> tuple[Record, ...]:
    """The question first: whoever was told that it is asked anew must find that it is."""
    return (what.record,) if what.end is None else (what.record, what.end)


def _told(what: Redrive) -> str:
    match what:
        case PutBack(topic, partition):
            return f"goes back as it is, to {topic}/{partition}"
        case DoneAgain(record, request_id=request_id):
            return "; ".join((f"is done again as {request_id}, from {record.topic.name} on", *_notes(what)))
        case Unfit(why):
            return f"cannot be given back: {why}"
        case _ as unreachable:
            assert_never(unreachable)


def _notes(what: DoneAgain) -> Iterator[str]:
    if what.end is not None:
        yield f"{what.made_good} is told so, and that it failed"
    if "deadline_ms" in what.lost:
        yield "without its deadline"
    unsaid = [field for field in what.lost if field != "deadline_ms"]
    if unsaid:
        yield f"without {' and '.join(unsaid)}: the record does not have them"
    if what.paid_calls:
        yield f"{what.paid_calls} calls were paid for already"


def give_back(cluster: LiveCluster, going: Sequence[Planned], because: str) -> None:
    """The record of it comes first: what is recorded and did not happen can be done again with --again, and of what
    did happen that changes nothing.
    """
    tell_all(cluster, [_audit(each, because) for each in going])
    producer, now_ms = ConfirmedProducer(cluster.settings), time_ns() // 1_000_000
    for each in going:
        match each.what:
            case PutBack(topic, partition, key, value, headers):
                producer.send(topic, key, value, headers, partition=partition)
            case DoneAgain() as what:
                for sealed in seal(_records(what), each.record, cluster.settings, "cli", now_ms):
                    headers = [*sealed.headers, redriven_from(each.letter)]
                    producer.send(sealed.topic, sealed.key, sealed.value, headers, partition=sealed.partition)
            case Unfit():
                pass
            case _ as unreachable:
                assert_never(unreachable)
    producer.confirm()


def _audit(each: Planned, because: str) -> Audit:
    detail = {"stage": each.letter.stage, "reason": each.letter.reason, "origin": each.letter.origin}
    if isinstance(each.what, DoneAgain):
        detail |= {
            "tenant": each.what.tenant_id,
            "request_id": each.what.request_id,
            "root_request_id": each.what.root_request_id,
            "made_good": each.what.made_good,
        }
    if each.model is not None:
        detail["model"] = each.model
    if each.doubt is not None:
        detail["unproven"] = each.doubt
    return audited("redriven", f"{SUBJECT}{each.letter.place}", reason=because, detail=detail)
