"""A request goes through all stages over TLS, each under a user of its own that may do what is printed for it."""

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

import pytest

from schemas.participants import PARTS
from scripts.local.layout import Layout
from scripts.local.parts import SAMPLE_CONFIG, Wishes, infrastructure, millrace
from scripts.stack.ports import reserve_port
from scripts.stack.readiness import holds_within
from scripts.stack.supervisor import Supervisor
from tests.integration.millrace import Ended
from tests.integration.secured_cluster import SecuredCluster, Way, secured_cluster

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240)]

# every kind of client proves itself, and each in more than one way: librdkafka, aiokafka (invoke) and Faust (watch)
WAYS: Mapping[str, Way] = MappingProxyType(
    {
        "millrace-validate": "PLAIN",
        "millrace-limit": "certificate",
        "millrace-invoke": "certificate",
        "millrace-sink": "PLAIN",
        "millrace-watch": "PLAIN",
    }
)
REQUEST = {"request_id": "s-1", "tenant_id": "acme", "model": "fast", "messages": [{"role": "user", "content": "Hi"}]}


class Stack:
    """What stands where the users of `cluster` work."""

    def __init__(self, cluster: SecuredCluster, layout: Layout) -> None:
        self.cluster = cluster
        self.layout = layout
        self.supervisor = Supervisor()
        with reserve_port() as clickhouse, reserve_port() as simulator:
            self._ports = {"clickhouse": clickhouse.port, "simulator": simulator.port}
        layout.prepare()
        for name in ("openai_api_key", "anthropic_api_key"):
            (layout.secrets / name).write_text("sk-simulated")
        self.supervisor.start(*infrastructure(layout, Wishes(), self._ports))

    def environment(self, user: str) -> dict[str, str]:
        return {
            **self.cluster.environment(user, WAYS.get(user, "SCRAM-SHA-512")),
            "MILLRACE_CLICKHOUSE_PORT": str(self._ports["clickhouse"]),
            "MILLRACE_INVOKE_SECRETS_DIR": str(self.layout.secrets),
            "MILLRACE_WATCH_DATA_DIR": str(self.layout.watch),
        }

    def configure(self) -> None:
        provider = f"http://127.0.0.1:{self._ports['simulator']}"
        where = ["--set", f"openai_base_url={provider}/v1", "--set", f"anthropic_base_url={provider}"]
        for command in (["topics", "apply"], ["tables", "apply"], ["config", "apply", str(SAMPLE_CONFIG), *where]):
            done = self.run("millrace-operator", *command)
            assert done.status == 0, done.err

    def start(self) -> None:
        """Every part, all at once."""
        specs = [
            millrace(
                self.layout,
                part,
                [part] if part in ("sink", "watch") else ["stage", part],
                self.environment(f"millrace-{part}"),
            )
            for part in PARTS
        ]
        self.supervisor.start(*specs)

    def run(self, user: str, *arguments: str, text: str | None = None) -> Ended:
        """A command in a process of its own, so that everything it prints is seen."""
        done = subprocess.run(  # noqa: S603  (this interpreter, and a module of this project)
            [sys.executable, "-m", "scripts.cli", *arguments],
            env=self.environment(user),
            cwd=self.layout.folder,
            input=text,
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
        return Ended(done.returncode, done.stdout, done.stderr)

    def logs(self) -> str:
        return "".join(self.layout.log(part).read_text() for part in PARTS)


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with secured_cluster(tmp_path_factory.mktemp("secured")) as cluster:
        stack = Stack(cluster, Layout(tmp_path_factory.mktemp("stack")))
        try:
            stack.configure()
            stack.start()
            yield stack
        finally:
            stack.supervisor.stop()


@pytest.fixture(scope="module")
def answered(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    """The answer to one request, asked by the producer's user and read by the service's."""
    key = tmp_path_factory.mktemp("key") / "acme.key"
    key.write_text("acme-demo-key")
    published = stack.run("millrace-producer", "publish", "-", "--key-file", str(key), text=json.dumps(REQUEST) + "\n")
    assert published.status == 0, published.err
    read = stack.run("millrace-service", "responses", "--request-id", "s-1", "--json")
    assert read.status == 0, read.err
    return json.loads(read.out)


def test_a_request_is_answered_with_every_stage_under_a_user_that_may_do_only_what_is_printed(
    stack: Stack, answered: dict[str, object]
) -> None:
    assert (answered["status"], answered["request_id"]) == ("ok", "s-1")

    def costs() -> str:
        return stack.run("millrace-operator", "costs", "--json").out

    assert holds_within(60, lambda: '"acme"' in costs()), costs()
    audit = stack.run("millrace-operator", "audit")
    assert (audit.status, "every request is answered exactly once" in audit.out) == (0, True), audit.out


def test_the_operators_commands_find_nothing_wrong_and_everybody_at_work(
    stack: Stack, answered: dict[str, object]
) -> None:
    assert answered["status"] == "ok"

    def found() -> list[dict[str, object]]:
        return json.loads(stack.run("millrace-operator", "doctor", "--json").out)

    def all_is_read() -> bool:
        lags = [str(check["found"]) for check in found() if str(check["name"]).startswith("lag of")]
        return len(lags) == len(PARTS) and all(lag == "0 records wait, 1 process reading" for lag in lags)

    assert holds_within(60, all_is_read), found()
    unexpected = [check for check in found() if not check["ok"] and not str(check["name"]).startswith("key of")]
    assert unexpected == []


def test_no_password_and_no_key_is_in_any_log(stack: Stack, answered: dict[str, object]) -> None:
    assert answered["status"] == "ok"
    logs = stack.logs()
    assert '"event":"assigned"' in logs
    assert "canary" not in logs
    assert "acme-demo-key" not in logs
    assert "uthorization" not in logs


def test_what_is_not_printed_is_not_allowed(stack: Stack) -> None:
    stranger = stack.run("millrace-producer", "responses", "--once")
    assert stranger.status == 2
    assert "llm.responses" in stranger.err
    other = stack.run("millrace-service", "stage", "limit")
    assert other.status == 2
    assert "Read, Write, DescribeConfigs on topic llm.accounts" in other.err


def test_the_printed_commands_give_what_the_json_says(stack: Stack, tmp_path: Path) -> None:
    """Kafka's own tool takes them; only one principal's, as each of them starts a Java."""
    printed = stack.run(
        "millrace-operator", "topics", "acls", "--commands", "--principal-prefix", "User:again-",
        "--bootstrap-servers", stack.cluster.inside,
    )  # fmt: skip
    lines = [line for line in printed.out.splitlines() if "User:again-watch" in line]
    shim = tmp_path / "kafka-acls.sh"
    shim.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m scripts.stack.kafka_tool kafka-acls "$@"\n')
    shim.chmod(0o755)

    done = subprocess.run(
        ["/bin/sh", "-e"], input="\n".join(lines), env={"PATH": f"{tmp_path}:/usr/bin:/bin"}, capture_output=True,
        text=True, check=False, timeout=100,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    given = rights(stack.cluster, "User:again-watch")
    assert given
    assert given == rights(stack.cluster, "User:millrace-watch")


def rights(cluster: SecuredCluster, principal: str) -> set[tuple[object, ...]]:
    return {(b.restype, b.name, b.resource_pattern_type, b.operation) for b in cluster.allowed(principal)}
