"""A coverage-guided run of one target in a process of its own, and what is told of it."""

import re
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from tests.fuzz.mutations import NASTY
from tests.fuzz.target import Target

FOLDER = Path(".millrace/fuzz")
LONGEST_INPUT_BYTES = 16_384
INPUT_S = 25
"""For one input, on a machine that may be busy with other things."""
MEMORY_MB = 2_048
LONGEST_WORD_BYTES = 48

_RUNS = re.compile(r"stat::number_of_executed_units:\s+(\d+)")
_PULSE = re.compile(r"^#(\d+)\s+\w+\s+cov: (\d+)", re.MULTILINE)
_KEPT = re.compile(r"Test unit written to (\S+)")
_WORD = re.compile(rb"[A-Za-z_][\w./-]{2,40}")


@dataclass(frozen=True, slots=True)
class Campaign:
    """`coverage` counts the edges of our own code that were taken, 0 where nobody counts them. `crash` is the input
    that ended the run.
    """

    target: str
    executions: int
    seconds: float
    coverage: int
    result: str
    crash: Path | None

    @property
    def reproduction(self) -> str:
        return f"{sys.executable} -m tests.fuzz --target {self.target} --input {self.crash}"


def run(target: Target, seconds: int) -> Campaign:
    """The inputs of earlier runs are gone on with; what is written is below `FOLDER`."""
    folder = FOLDER / target.name
    corpus = folder / "corpus"
    corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(target.seeds):
        (corpus / f"seed-{number}").write_bytes(seed)
    (folder / "words").write_text("\n".join(f'"{_escaped(word)}"' for word in _words(target)) + "\n")
    flags = {
        "max_total_time": seconds,
        "max_len": LONGEST_INPUT_BYTES,
        "timeout": INPUT_S,
        "rss_limit_mb": MEMORY_MB,
        "print_final_stats": 1,
        "dict": folder / "words",
        "artifact_prefix": f"{folder}/",
    }
    command = [sys.executable, "-m", "tests.fuzz.led", target.name, str(corpus)]
    begun_s = time.monotonic()
    with (folder / "log").open("wb") as log:
        status = subprocess.run(  # noqa: S603  # our own interpreter, with arguments made here
            [*command, *(f"-{name}={value}" for name, value in flags.items())], stdout=log, stderr=log, check=False
        ).returncode
    said = (folder / "log").read_text(errors="replace")
    return _told(target.name, said, status, time.monotonic() - begun_s)


def _told(name: str, said: str, status: int, seconds: float) -> Campaign:
    pulses = _PULSE.findall(said) or [("0", "0")]
    runs = _RUNS.search(said)
    kept = _KEPT.search(said)
    return Campaign(
        target=name,
        executions=int(runs[1] if runs else pulses[-1][0]),
        seconds=seconds,
        coverage=max(int(coverage) for _, coverage in pulses),
        result="clean" if status == 0 else f"ended with status {status}: see {FOLDER / name / 'log'}",
        crash=Path(kept[1]) if kept else None,
    )


def _words(target: Target) -> list[bytes]:
    """What the fuzzer may put in: names that good inputs have, and values that parsers stumble over."""
    names = {word for seed in target.seeds for word in _WORD.findall(seed)}
    return sorted(names) + [word for word in NASTY if len(word) <= LONGEST_WORD_BYTES]


def _escaped(word: bytes) -> str:
    return "".join(f"\\x{byte:02x}" for byte in word)
