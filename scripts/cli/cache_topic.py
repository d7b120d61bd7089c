"""`llm.cache` as the cache stage knows it, and an operator's records on it."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from heapq import merge
from time import time_ns

import uuid_utils
from msgspec.structs import replace

from schemas.cached import Fill, Invalidated
from schemas.flow import Completion, Dispatch
from schemas.headers import outgoing, topic_event_type
from schemas.partition import partition_for
from schemas.topics import CACHE, COMPLETIONS
from schemas.wire import DecodeError
from scripts.cli.kafka import LiveCluster
from scripts.cli.offsets import Spans
from scripts.cli.producer import ConfirmedProducer
from scripts.cli.topic_reader import TopicReader
from streams.answers.judging import as_judged, judged
from streams.answers.pipeline import process
from streams.answers.step import Draft
from streams.content.guard import let_out
from streams.control import ControlView
from streams.cost.booking import book
from streams.keeping import fill_of
from streams.state.kept_answers import KeptAnswers

Partitions = Mapping[int, KeptAnswers]


def read_kept(cluster: LiveCluster, now_ms: int) -> Partitions:
    """By partition, what a worker that starts now would know. What cannot be read is passed over, as it does."""
    found: defaultdict[int, KeptAnswers] = defaultdict(KeptAnswers)
    with TopicReader(cluster, CACHE) as reader:
        for record in reader.read(reader.spans()):
            if not record.value or CACHE.events is None:
                continue
            try:
                found[record.partition].apply(CACHE.events.decode(record.value), now_ms)
            except DecodeError:
                continue
    return found


class AnswersInLog:
    """What was answered since then and may be given again, oldest first, for as long as its tenant's `cache_ttl_s` is
    by now. Read as it is asked for: partitions side by side, and of each no more than a fetch is held.
    """

    def __init__(self, cluster: LiveCluster, control: ControlView, since_ms: int) -> None:
        self._cluster = cluster
        self._control = control
        with TopicReader(cluster, COMPLETIONS) as reader:
            self._spans = {partition: span for partition, span in reader.spans(since_ms).items() if span.count}
        self.records = sum(span.count for span in self._spans.values())

    def read(self, advance: Callable[[int], None]) -> Iterator[Fill]:
        """`advance` hears of each record that was read, whether it holds such an answer or not."""
        with ExitStack() as open_:
            parts = [
                self._fills(open_.enter_context(TopicReader(self._cluster, COMPLETIONS)), {partition: span}, advance)
                for partition, span in self._spans.items()
            ]
            yield from merge(*parts, key=lambda fill: fill.stored_at_ms)

    def _fills(self, reader: TopicReader, spans: Spans, advance: Callable[[int], None]) -> Iterator[Fill]:
        for record in reader.read(spans):
            advance(1)
            try:
                completion = Completion.decode(record.value or b"")
            except DecodeError:
                continue
            fill = warmed(completion, self._control, record.timestamp_ms)
            if fill is not None:
                yield fill


def warmed(completion: Completion, control: ControlView, answered_ms: int) -> Fill | None:
    """What `postprocess` would have kept of it, for as long as its tenant has answers kept by now."""
    tenant = control.tenants.get(completion.ticket.tenant_id or "")
    if tenant is None or tenant.cache == "off" or completion.slot is None:
        return None
    attempts = as_judged(completion).all_attempts
    paid = [book(control, tenant.name, completion.plan, attempt) for attempt in attempts]
    seen = _as_given(completion, control)
    fill = None if seen is None else fill_of(seen, paid, answered_ms)
    return None if fill is None else kept_on(fill, answered_ms + tenant.cache_ttl_s * 1000)


def _as_given(completion: Completion, control: ControlView) -> Completion | None:
    """As `postprocess` made it; None where it did not pass, was held back, or was judged first: then what a judge's
    round came to says so.
    """
    came, completion = completion, as_judged(completion)
    rules, answer = (None if completion.plan is None else completion.plan.rules), completion.answer
    if rules is not None and answer is not None:
        seen = judged(came, process(Draft(answer, rules, completion.parse_json, completion.json_schema), lambda: 0))
        if isinstance(seen, Dispatch) or seen.wanting is not None:
            return None
        completion = replace(completion, answer=seen.answer)
    given, _ = let_out(completion, None, control, lambda: 0)
    return given if given.status == completion.status else None


def kept_on(fill: Fill, expires_at_ms: int) -> Fill:
    """Written beside what is there: it replaces no newer answer, and ends no question in flight."""
    return replace(fill, expires_at_ms=expires_at_ms, again=True)


class CacheWriter:
    """Nothing counts as written before `confirm` has returned. Raises Fault when the brokers do not take it."""

    def __init__(self, cluster: LiveCluster) -> None:
        self._topic = cluster.settings.topic(CACHE)
        self._partitions = cluster.partitions(CACHE)
        self._producer = ConfirmedProducer(cluster.settings)

    def take_back(self, event: Invalidated) -> None:
        key = f"invalidated/{event.tenant_id}/{event.namespace or '*'}/{event.response or '*'}"
        for partition in range(self._partitions):
            self._send(key, event.encode(), partition)

    def put(self, fill: Fill) -> None:
        self._send(f"{fill.entry}/again", fill.encode(), self.partition_of(fill))

    def partition_of(self, fill: Fill) -> int:
        return partition_for(fill.namespace.encode(), self._partitions)

    def confirm(self) -> None:
        self._producer.confirm()

    def _send(self, key: str, value: bytes, partition: int) -> None:
        at_ms = time_ns() // 1_000_000
        headers = outgoing(topic_event_type(CACHE.name), str(uuid_utils.uuid7()), "millrace/cli", at_ms, None)
        self._producer.send(self._topic, key.encode(), value, headers, partition=partition)
