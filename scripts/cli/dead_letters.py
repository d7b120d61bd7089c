"""The dead letters as they stand, and which of them were given back."""

from collections.abc import Iterator, Sequence
from time import time_ns
from typing import NamedTuple

from schemas.participants import Part
from schemas.topics import AUDIT, DEAD_LETTERS
from scripts.cli.dead_letter import DeadLetter, dead_letter
from scripts.cli.fault import Fault
from scripts.cli.kafka import LiveCluster
from scripts.cli.offsets import Span
from scripts.cli.redrive_past import Past, past_of
from scripts.cli.since import since_ms
from scripts.cli.topic_reader import TopicReader
from streams.runtime.delivery import Delivery
from streams.runtime.outcome import Reason


class Place(NamedTuple):
    partition: int
    offset: int


class Buried(NamedTuple):
    letter: DeadLetter
    record: Delivery


def chosen(cluster: LiveCluster, since: str | None, reason: Reason | None, stage: Part | None) -> Iterator[Buried]:
    start_ms = None if since is None else since_ms(since, time_ns() // 1_000_000)
    with TopicReader(cluster, DEAD_LETTERS) as reader:
        for record in reader.read(reader.spans(start_ms)):
            letter = dead_letter(record)
            if reason in {None, letter.reason} and stage in {None, letter.stage}:
                yield Buried(letter, record)


def past_redrives(cluster: LiveCluster) -> Past:
    """Empty where nothing was ever recorded: a cluster of an older release has no topic for it."""
    if cluster.settings.topic(AUDIT) not in cluster.topics:
        return Past()
    with TopicReader(cluster, AUDIT) as reader:
        return past_of(reader.read(reader.spans()))


def places_of(texts: Sequence[str]) -> list[Place]:
    """Each once. Raises Fault."""
    return [_place_of(text) for text in dict.fromkeys(texts)]


def _place_of(text: str) -> Place:
    partition, _, offset = text.partition("/")
    if not (partition.isdecimal() and offset.isdecimal()):
        raise Fault(f"{text!r} is not a place; write PARTITION/OFFSET, such as 3/17")
    return Place(int(partition), int(offset))


def letters_at(cluster: LiveCluster, places: Sequence[Place]) -> list[Buried]:
    """Raises Fault when one is not there."""
    with TopicReader(cluster, DEAD_LETTERS) as reader:
        known = reader.spans()
        return [_read(reader, known.get(place.partition), place) for place in places]


def _read(reader: TopicReader, known: Span | None, place: Place) -> Buried:
    partition, offset = place
    if known is None or not known.start <= offset < known.end:
        raise Fault(f"{reader.topic} has no record at {partition}/{offset}; see: millrace dlq list")
    record = next(reader.read({partition: Span(offset, offset + 1)}), None)
    if record is None:
        raise Fault(f"{reader.topic} has no record at {partition}/{offset} any more")
    return Buried(dead_letter(record), record)
