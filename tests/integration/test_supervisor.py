"""What the supervisor starts stays up, stops in order and never outlives it."""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from scripts.stack.backoff import Backoff
from scripts.stack.errors import StartError
from scripts.stack.ports import reserve_port
from scripts.stack.process import LOG_LIMIT_BYTES, Child, Command, log_tail, spawn
from scripts.stack.readiness import answers, holds_within
from scripts.stack.supervised import BROKEN_EXIT_STATUS, ProcessSpec, ProcessState, Status
from scripts.stack.supervisor import Supervisor
from tests.integration.orphans import first_line, is_gone, start_parent

pytestmark = pytest.mark.integration

FAST = Backoff(first_s=0.01, factor=2, cap_s=0.04, forgive_after_s=60)

# Says it is up, then does nothing until a signal ends it.
IDLE = "import signal; print('up', flush=True); signal.pause()"
# Writes its name where all of a test's children do, in the order they are asked to end.
NOTES_ITS_END = """
import signal, sys
def end(*_):
    open(sys.argv[2], "a").write(sys.argv[1] + "\\n")
    sys.exit()
signal.signal(signal.SIGTERM, end)
print("up", flush=True)
signal.pause()
"""
DEAF = """
import signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("up", flush=True)
while True:
    signal.pause()
"""


def python(log: Path, program: str, *arguments: str) -> Command:
    return Command([sys.executable, "-c", program, *arguments], log=log)


def spec(log: Path, program: str, *arguments: str, grace_s: float = 10) -> ProcessSpec:
    """A process named after its log that is ready once it has said that it is up."""
    return ProcessSpec(
        log.stem,
        python(log, program, *arguments),
        ready=lambda: "up" in log_tail(log),
        ready_within_s=20,
        grace_s=grace_s,
    )


class Heard:
    """Collects the states a supervisor reports."""

    def __init__(self) -> None:
        self._states: list[ProcessState] = []
        self._changed = threading.Condition()

    def __call__(self, state: ProcessState) -> None:
        with self._changed:
            self._states.append(state)
            self._changed.notify_all()

    def first(self, status: Status, *, restarts: int) -> ProcessState:
        """The first state of that kind, waited for up to 20 s."""

        def matching() -> list[ProcessState]:
            return [state for state in self._states if (state.status, state.restarts) == (status, restarts)]

        with self._changed:
            assert self._changed.wait_for(matching, timeout=20), f"never {status} with {restarts} restarts"
            return matching()[0]


@pytest.fixture
def children() -> Iterator[list[Child]]:
    """Children a test spawns by itself, killed at its end."""
    spawned: list[Child] = []
    yield spawned
    for child in spawned:
        child.kill()


def test_a_killed_child_is_started_again(tmp_path: Path) -> None:
    heard = Heard()
    with Supervisor(backoff=FAST, on_change=heard) as supervisor:
        supervisor.start(spec(tmp_path / "stage.log", IDLE))
        (before,) = supervisor.states()
        assert before.pid is not None

        os.kill(before.pid, signal.SIGKILL)
        after = heard.first(Status.RUNNING, restarts=1)

        assert after.pid not in {None, before.pid}
        assert after.last_exit_status == -signal.SIGKILL
        assert supervisor.states() == (after,)

    assert heard.first(Status.STOPPED, restarts=1).pid is None


def test_a_child_that_keeps_dying_is_started_again_and_again(tmp_path: Path) -> None:
    heard = Heard()
    with Supervisor(backoff=FAST, on_change=heard) as supervisor:
        supervisor.start(ProcessSpec("stage", python(tmp_path / "stage.log", "raise SystemExit(3)")))

        assert heard.first(Status.BACKING_OFF, restarts=3).last_exit_status == 3


def test_a_child_that_says_it_would_do_the_same_again_is_not_started_again(tmp_path: Path) -> None:
    heard = Heard()
    with Supervisor(backoff=FAST, on_change=heard) as supervisor:
        supervisor.start(
            ProcessSpec("stage", python(tmp_path / "stage.log", f"raise SystemExit({BROKEN_EXIT_STATUS})"))
        )

        assert heard.first(Status.STOPPED, restarts=0).last_exit_status == BROKEN_EXIT_STATUS


def test_a_child_that_waits_for_its_restart_stops_at_once(tmp_path: Path) -> None:
    heard = Heard()
    patient = Backoff(first_s=3600, cap_s=3600)
    with Supervisor(backoff=patient, on_change=heard) as supervisor:
        supervisor.start(ProcessSpec("stage", python(tmp_path / "stage.log", "raise SystemExit(3)")))
        heard.first(Status.BACKING_OFF, restarts=0)

    assert heard.first(Status.STOPPED, restarts=0).last_exit_status == 3


def test_children_are_stopped_in_reverse_order(tmp_path: Path) -> None:
    ends = tmp_path / "ends"
    with Supervisor() as supervisor:
        supervisor.start(spec(tmp_path / "engine.log", NOTES_ITS_END, "engine", str(ends)))
        supervisor.start(
            *(spec(tmp_path / f"{name}.log", NOTES_ITS_END, name, str(ends)) for name in ("sink", "stage"))
        )

    assert ends.read_text().split() == ["stage", "sink", "engine"]


def test_one_child_can_be_stopped_and_started_anew(tmp_path: Path) -> None:
    with Supervisor() as supervisor:
        supervisor.start(spec(tmp_path / "limit.log", IDLE), spec(tmp_path / "cache.log", IDLE))

        supervisor.stop("limit")
        assert [state.name for state in supervisor.states()] == ["cache"]

        supervisor.start(spec(tmp_path / "limit.log", IDLE))
        assert [state.name for state in supervisor.states()] == ["cache", "limit"]


def test_a_child_that_ignores_the_request_is_killed_after_its_grace(tmp_path: Path) -> None:
    heard = Heard()
    with Supervisor(on_change=heard) as supervisor:
        supervisor.start(spec(tmp_path / "deaf.log", DEAF, grace_s=0.2))

    assert heard.first(Status.STOPPED, restarts=0).last_exit_status == -signal.SIGKILL


def test_a_child_that_dies_before_it_is_ready_is_explained_by_its_log(tmp_path: Path) -> None:
    with Supervisor() as supervisor:
        with pytest.raises(StartError, match=r"(?s)stage ended with exit status 1.*no such topic: llm\.requests"):
            supervisor.start(
                spec(tmp_path / "other.log", IDLE),
                spec(tmp_path / "stage.log", "import sys; sys.exit('no such topic: llm.requests')"),
            )

        assert supervisor.states() == ()


def test_a_child_that_is_not_ready_in_time_is_explained_by_its_log(tmp_path: Path) -> None:
    log = tmp_path / "slow.log"
    slow = ProcessSpec("slow", python(log, IDLE), ready=lambda: False, ready_within_s=0.5)

    with Supervisor() as supervisor, pytest.raises(StartError, match=r"(?s)slow was not ready after 0\.5 s"):
        supervisor.start(slow)


def test_a_program_that_does_not_exist_is_named(tmp_path: Path) -> None:
    missing = ProcessSpec("missing", Command(["/no/such/program"], log=tmp_path / "log"), ready=lambda: False)

    with Supervisor() as supervisor, pytest.raises(StartError, match=r"cannot run /no/such/program: No such file"):
        supervisor.start(missing)


def test_two_children_cannot_have_one_name(tmp_path: Path) -> None:
    with Supervisor() as supervisor, pytest.raises(ValueError, match="only one process called stage"):
        supervisor.start(spec(tmp_path / "stage.log", IDLE), spec(tmp_path / "stage.log", IDLE))


def test_a_child_is_ready_when_its_health_url_answers(tmp_path: Path) -> None:
    with reserve_port() as reservation, Supervisor() as supervisor:
        url = f"http://127.0.0.1:{reservation.port}/"
        assert not answers(url)()

        command = Command(
            [sys.executable, "-m", "http.server", "--bind", "127.0.0.1", str(reservation.port)],
            log=tmp_path / "http.log",
            cwd=tmp_path,
        )
        supervisor.start(ProcessSpec("http", command, ready=answers(url)))

        assert answers(url)()
        assert not answers(f"{url}missing")()


def test_a_child_gets_our_environment_and_what_is_added(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INHERITED", "from the parent")
    program = "import os; print(os.environ.get('INHERITED'), os.environ['ADDED'])"
    command = python(tmp_path / "log", program)

    spawn(Command(command.argv, command.log, env={"ADDED": "for it"})).wait(20)
    spawn(Command(command.argv, command.log, env={"ADDED": "alone"}, inherit_env=False)).wait(20)

    assert log_tail(command.log).splitlines() == ["from the parent for it", "None alone"]


def test_ctrl_c_in_the_terminal_does_not_reach_a_child(tmp_path: Path, children: list[Child]) -> None:
    child = spawn(python(tmp_path / "log", IDLE))
    children.append(child)

    assert os.getpgid(child.pid) == child.pid != os.getpgrp()


def test_a_child_outlives_the_thread_that_started_it(tmp_path: Path, children: list[Child]) -> None:
    log = tmp_path / "log"
    with ThreadPoolExecutor(1) as pool:
        child = pool.submit(spawn, python(log, IDLE)).result()
    children.append(child)

    assert holds_within(20, lambda: "up" in log_tail(log))
    assert child.running


def test_a_log_grown_too_long_is_set_aside(tmp_path: Path) -> None:
    log = tmp_path / "stage.log"
    log.write_bytes(b"old\n" * (LOG_LIMIT_BYTES // 4 + 1))

    spawn(python(log, "print('new')")).wait(20)

    assert log.read_text() == "new\n"
    assert (tmp_path / "stage.log.1").stat().st_size > LOG_LIMIT_BYTES


PARENT = """
import sys
from pathlib import Path
from scripts.stack.process import Command
from scripts.stack.supervised import ProcessSpec
from scripts.stack.supervisor import Supervisor
with Supervisor() as supervisor:
    command = Command([sys.executable, "-c", sys.argv[1]], log=Path(sys.argv[2]))
    supervisor.start(ProcessSpec("stage", command))
    print(supervisor.states()[0].pid, flush=True)
    sys.stdin.read()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux kills a child with its parent")
def test_a_killed_parent_leaves_no_child_behind(tmp_path: Path) -> None:
    log = tmp_path / "stage.log"
    with start_parent(PARENT, DEAF, str(log)) as parent:
        pid = int(first_line(parent))
        assert holds_within(20, lambda: "up" in log_tail(log))
        parent.kill()

    assert holds_within(10, lambda: is_gone(pid))
