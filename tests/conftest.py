"""Fixtures that every test may use. The broker is one for the whole run; each test takes topics of its own on it."""

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn
from uuid import uuid4

import hypothesis
import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling

from scripts.stack.broker import Cluster, start_cluster
from streams.settings import KafkaSettings

SHARED = "tests/integration/whole_system"

# a busy machine is no reason to fail; what failed can be run again
hypothesis.settings.register_profile("millrace", deadline=None, print_blob=True)
hypothesis.settings.load_profile("millrace")


class _ByFile(LoadFileScheduling):
    """The files whose tests share one running system go to one worker, one after the other."""

    def _split_scope(self, nodeid: str) -> str:
        file = super()._split_scope(nodeid)
        return SHARED if file.startswith(f"{SHARED}/") else file


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> _ByFile | None:
    return _ByFile(config, log) if config.getvalue("dist") == "loadfile" else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What keeps one worker busy for long begins first, so that none is left alone with it at the end."""
    items.sort(key=lambda item: item.get_closest_marker("long") is None and not item.nodeid.startswith(f"{SHARED}/"))


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A real Kafka broker, started at its first use."""
    with start_cluster(tmp_path_factory.mktemp("kafka")) as cluster:
        yield cluster


@pytest.fixture
def kafka(broker: Cluster) -> KafkaSettings:
    """Connects to the broker with a prefix of its own, so that tests do not meet."""
    mine = uuid4().hex[:12]
    return KafkaSettings(
        bootstrap_servers=broker.bootstrap_servers,
        topic_prefix=f"t{mine}.",
        group_prefix=f"g{mine}.",
        partitions=2,
        session_timeout_ms=9_000,
        delivery_timeout_ms=5_000,
    )


@pytest.fixture(autouse=True)
def no_sockets_in_unit_tests(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A test outside the integration mark that opens a connection has the wrong mark, or too much in it."""
    if request.node.get_closest_marker("integration") is not None:
        return

    def refuse(*_: object) -> NoReturn:
        pytest.fail("a unit test opened a connection: mark it `integration`, or take the socket out of it")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket.socket, "connect_ex", refuse)


@pytest.fixture
def shared_data() -> Path:
    """Real prompts and traces beside the repository; tests that use them are skipped where they are not."""
    data = Path(__file__).parents[2] / "shared" / "data"
    if not data.is_dir():
        pytest.skip(f"needs {data.name} beside the repository, which is not here")
    return data
