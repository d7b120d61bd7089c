"""What would become of several dead letters, and making it so."""

from collections.abc import Sequence
from dataclasses import dataclass
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
from scripts.cli.redrive import SUBJECT, DoneAgain, Grounds, Past, PutBack, Redrive, Unfit, redrive, redriven_from
from streams.runtime.delivery import Delivery
from streams.runtime.envelope import OversizedRecordError, seal


@dataclass(frozen=True, slots=True)
class Planned:
    letter: DeadLetter
    record: Delivery
    what: Redrive

    def line(self) -> tuple[str, str, str, str]:
        return self.letter.place, self.letter.stage, self.letter.reason, _told(self.what)

    def shown(self) -> dict[str, str | bool | None]:
        again = self.what if isinstance(self.what, DoneAgain) else None
        return {
            "place": self.letter.place,
            "fit": not isinstance(self.what, Unfit),
            "what": _told(self.what),
            "request_id": again.request_id if again else None,
            "root_request_id": again.root_request_id if again else None,
        }


def planned(
    cluster: LiveCluster, found: Sequence[Buried], past: Past, model: str | None, *, again: bool
) -> list[Planned]:
    if not found:
        return []
    kafka = cluster.settings
    grounds = Grounds(
        control=read_control(cluster).view,
        past=past,
        topics={kafka.topic(topic): topic for topic in TOPICS},
        partitions=kafka.partitions,
        now_ms=time_ns() // 1_000_000,
        model=model,
    )
    plans: list[Planned] = []
    for letter, record in found:
        what = redrive(letter, record, grounds) if again or letter.place not in past.letters else _BEFORE
        if isinstance(what, DoneAgain):
            past.times[what.tenant_id, what.root_request_id] += 1
            try:
                seal((what.record,), record, kafka, "cli", grounds.now_ms)
            except OversizedRecordError as problem:
                what = Unfit(f"does not fit on its topic: {problem}")
        plans.append(Planned(letter, record, what))
    return plans


_BEFORE = Unfit("was given back before; do it once more with --again")


def _told(what: Redrive) -> str:
    match what:
        case PutBack(topic, partition):
            return f"goes back as it is, to {topic}/{partition}"
        case DoneAgain(record, request_id=request_id):
            return f"is done again as {request_id}, from {record.topic.name} on"
        case Unfit(why):
            return f"cannot be given back: {why}"
        case _ as unreachable:
            assert_never(unreachable)


def give_back(cluster: LiveCluster, going: Sequence[Planned], because: str) -> None:
    """The record of it comes first: what is recorded and did not happen can be done again with --again."""
    tell_all(cluster, [_audit(each, because) for each in going])
    producer, now_ms = ConfirmedProducer(cluster.settings), time_ns() // 1_000_000
    for each in going:
        match each.what:
            case PutBack(topic, partition, key, value, headers):
                producer.send(topic, key, value, headers, partition=partition)
            case DoneAgain(record):
                (sealed,) = seal((record,), each.record, cluster.settings, "cli", now_ms)
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
        }
    return audited("redriven", f"{SUBJECT}{each.letter.place}", reason=because, detail=detail)
