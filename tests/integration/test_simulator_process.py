"""The simulator as a process: ready when it says so, the same with the same seed, gone at once when told."""

import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx2
import orjson
import pytest

from scripts.simulator.process import RunningSimulator, SimulatorNotStarted, start_simulator
from scripts.simulator.settings import SimulatorSettings

pytestmark = pytest.mark.integration

PATIENCE_S = 20


def answer(simulator: RunningSimulator, prompt: str) -> httpx2.Response:
    return httpx2.post(
        f"{simulator.openai_url}/chat/completions",
        headers={"authorization": "Bearer sk-test"},
        json={"model": "gpt-4o-mini", "messages": [{"role": "user", "content": prompt}]},
    )


def words(simulator: RunningSimulator, prompt: str) -> str:
    return answer(simulator, prompt).json()["choices"][0]["message"]["content"]


def accepts_connections(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_a_seed_repeats_its_answers_in_another_process() -> None:
    with start_simulator(SimulatorSettings(seed=7)) as one, start_simulator(SimulatorSettings(seed=7)) as same:
        assert words(one, "Tell me about rivers.") == words(same, "Tell me about rivers.")


def test_the_port_file_and_the_bill_file_are_written_and_the_process_ends_at_once(tmp_path: Path) -> None:
    settings = SimulatorSettings(port_file=tmp_path / "port", bill_file=tmp_path / "bill.jsonl")
    with start_simulator(settings) as simulator:
        assert int((tmp_path / "port").read_text()) == simulator.port
        assert httpx2.get(f"{simulator.base_url}/healthz").json() == {"status": "ok"}
        answer(simulator, "hi")
    assert simulator.process.returncode == 0
    (line,) = (tmp_path / "bill.jsonl").read_bytes().splitlines()
    assert orjson.loads(line)["model"] == "gpt-4o-mini"


def test_calls_that_hang_do_not_keep_it_from_stopping() -> None:
    body = b'{"model": "gpt-4o", "messages": [{"role": "user", "content": "[[fault:hang]]"}]}'
    head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer k\r\ncontent-length: %d\r\n\r\n"
    with start_simulator() as simulator, socket.create_connection(("127.0.0.1", simulator.port)) as hanging:
        hanging.sendall(head % len(body) + body)
        deadline_s = time.monotonic() + PATIENCE_S
        while httpx2.get(f"{simulator.base_url}/_control/stats").json()["in_flight"] == 0:
            assert time.monotonic() < deadline_s
        started_s = time.monotonic()
        simulator.process.send_signal(signal.SIGTERM)
        assert simulator.process.wait(PATIENCE_S) == 0
        assert time.monotonic() - started_s < 3
        assert hanging.recv(1) == b""


def test_a_stream_dropped_by_stopping_is_billed_as_cut(tmp_path: Path) -> None:
    settings = SimulatorSettings(tokens_per_s=20, bill_file=tmp_path / "bill.jsonl")
    body = {"model": "gpt-4o", "stream": True, "messages": [{"role": "user", "content": "[[tokens:4000]]"}]}
    with (
        start_simulator(settings) as simulator,
        httpx2.stream(
            "POST", f"{simulator.openai_url}/chat/completions", headers={"authorization": "Bearer k"}, json=body
        ) as response,
    ):
        # Dropping the iterator would close the connection from this side.
        lines = response.iter_lines()
        assert next(lines).startswith("data: ")
        simulator.stop()
    (line,) = (tmp_path / "bill.jsonl").read_bytes().splitlines()
    assert orjson.loads(line)["kind"] == "cut"


def test_it_does_not_outlive_whoever_started_it() -> None:
    program = "from scripts.simulator.process import start_simulator as s; print(s().base_url, flush=True); input()"
    with subprocess.Popen(  # noqa: S603 - our own module
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as starter:
        assert starter.stdout is not None
        url = httpx2.URL(starter.stdout.readline().strip())
        starter.kill()
    deadline_s = time.monotonic() + PATIENCE_S
    while accepts_connections(url.port or 0):
        assert time.monotonic() < deadline_s


def test_a_start_that_fails_says_why() -> None:
    with start_simulator() as simulator, pytest.raises(SimulatorNotStarted, match=r"cannot start: .*in use"):
        start_simulator(SimulatorSettings(port=simulator.port))


@pytest.mark.parametrize(
    ("flag", "complaint"),
    [
        ("--port=99999", "provider simulator: port: Input should be less than or equal to 65535"),
        ("--fault=flood=0.1", "provider simulator: fault: 'flood=0.1' is not KIND=RATE"),
        ("--fault-plan=/nowhere/plan.json", "provider simulator: cannot start: "),
    ],
)
def test_a_flag_that_cannot_be_used_is_one_clear_sentence(flag: str, complaint: str) -> None:
    done = subprocess.run(  # noqa: S603 - our own module
        [sys.executable, "-m", "scripts.simulator", flag],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode in (1, 2)
    assert done.stderr.startswith(complaint)
    assert len(done.stderr.splitlines()) == 1
