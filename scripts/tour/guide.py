"""What a scene may do with the running system: ask, listen, upset the provider, look, and use the command line."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Self, TypeVar
from urllib.request import Request, urlopen

import orjson
import uuid_utils
from confluent_kafka import Producer
from prometheus_client.parser import text_string_to_metric_families

from schemas.base import dump_json
from schemas.response import Response
from schemas.topics import DEAD_LETTERS, REQUESTS, Topic
from scripts.cli.control_topic import read_control
from scripts.cli.kafka import LiveCluster
from scripts.cli.topic_reader import TopicReader
from scripts.demo.exchange import Answers
from scripts.local.stack import LocalStack
from sinks.connection import connect
from streams.control import ControlView
from streams.provider_keys import process_environment
from streams.runtime.clients import producer_config
from streams.runtime.cluster import Cluster
from streams.runtime.delivery import Delivery

T = TypeVar("T")
TENANT = "tour"
PATIENCE_S = 60.0


class NotSeenError(Exception):
    """Nothing of the kind was there in time."""


class Guide:
    """Use as a context manager. What it waits for and does not see within `PATIENCE_S` raises NotSeenError."""

    def __init__(self, stack: LocalStack) -> None:
        self._stack = stack
        self._cluster = LiveCluster(stack.kafka, Cluster(stack.kafka).existing())
        self._producer = Producer(producer_config(stack.kafka, "tour"))
        self._answers = Answers(stack.kafka, lambda: None)
        self._rows = connect(stack.clickhouse)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._answers.close()
        self._rows.close()

    def ask(self, text: str, *, times: int = 1, **fields: Any) -> list[str]:
        """Sends the same question under so many new ids; returns the ids. `fields` are the request's."""
        ids = [f"tour-{uuid_utils.uuid7()}" for _ in range(times)]
        for request_id in ids:
            request = {"tenant_id": TENANT, "messages": [{"role": "user", "content": text}], **fields}
            self._answers.expect(request_id)
            value = dump_json({"request_id": request_id, **request})
            self._producer.produce(self._stack.kafka.topic(REQUESTS), value, str(request["tenant_id"]).encode())
        if self._producer.flush(PATIENCE_S):
            raise NotSeenError("the broker did not take the requests")
        return ids

    def answers(self, ids: Iterable[str]) -> list[Response]:
        wanted = list(ids)
        self.until(f"answers to {len(wanted)} requests", lambda: self._heard().keys() >= set(wanted))
        heard = self._heard()
        return [heard[each] for each in wanted]

    def answer_to(self, request_id: str) -> Response:
        """Of a request that somebody else has sent."""
        self._answers.expect(request_id)
        return self.answers([request_id])[0]

    def records(self, topic: Topic) -> list[bytes]:
        """The values of what is on it now."""
        return [record.value or b"" for record in self._on(topic)]

    def dead_letters(self) -> list[Delivery]:
        return self._on(DEAD_LETTERS)

    def write(self, topic: Topic, value: bytes, key: str) -> None:
        """Whatever it is, where only stages write otherwise."""
        self._producer.produce(self._stack.kafka.topic(topic), value, key.encode())
        if self._producer.flush(PATIENCE_S):
            raise NotSeenError("the broker did not take a record")

    def _on(self, topic: Topic) -> list[Delivery]:
        with TopicReader(self._cluster, topic) as reader:
            return list(reader.read(reader.spans()))

    def answer(self, text: str, **fields: Any) -> Response:
        """Asks, and waits for the answer."""
        return self.answers(self.ask(text, **fields))[0]

    def upset(self, model: str, *rules: Mapping[str, object]) -> None:
        """The simulated provider treats calls of this model so from now on; with no rule, well again."""
        self._provider("/_control/faults", dump_json({"model": model, "rules": list(rules)}))

    def paid_calls(self) -> int:
        """How many calls the simulated provider has charged for."""
        return int(orjson.loads(self._provider("/_bill"))["calls"])

    def control(self) -> ControlView:
        return read_control(self._cluster).view

    def rows(self, statement: str, **parameters: object) -> Sequence[Sequence[Any]]:
        """What ClickHouse answers; `{database:Identifier}` and the parameters are filled in."""
        given = {"database": self._stack.clickhouse.database, **parameters}
        return self._rows.query(statement, parameters=given).result_rows

    def metric(self, process: str, name: str, label: str) -> float:
        """The sum of a process's samples of this name that have such a label."""
        url = f"http://127.0.0.1:{self._stack.observation_ports()[process]}/metrics"
        with urlopen(url, timeout=PATIENCE_S) as answer:  # our own child on loopback
            families = list(text_string_to_metric_families(answer.read().decode()))
        samples = (sample for family in families for sample in family.samples)
        return sum(each.value for each in samples if each.name == name and label in each.labels.values())

    def millrace(self, *arguments: str, given: str = "") -> str:
        """Runs the command as the operator would; returns what it prints. Raises NotSeenError when it fails."""
        done = subprocess.run(  # noqa: S603  # our own command
            [sys.executable, "-m", "scripts.cli", *arguments],
            env={**process_environment(), **self._stack.environment},
            input=given,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
        if done.returncode:
            raise NotSeenError(f"`millrace {' '.join(arguments)}` said: {(done.stdout + done.stderr).strip()}")
        return done.stdout

    def until(self, what: str, holds: Callable[[], T | None]) -> T:
        """What `holds` gives, as soon as that is something."""
        until_s = time.monotonic() + PATIENCE_S
        while not (found := holds()):
            if time.monotonic() > until_s:
                raise NotSeenError(f"there was no sign of {what} within {PATIENCE_S:g} s")
            self._answers.wait_for(quiet_s=0.2)
        return found

    def _provider(self, path: str, body: bytes | None = None) -> bytes:
        request = Request(f"{self._stack.simulator_url}{path}", body)  # noqa: S310  # our own child on loopback
        with urlopen(request, timeout=PATIENCE_S) as answer:  # noqa: S310  # our own child on loopback
            return answer.read()

    def _heard(self) -> dict[str, Response]:
        return {response.request_id: response for response in self._answers.responses}
