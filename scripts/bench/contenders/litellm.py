"""LiteLLM's proxy, the most used gateway in Python, in an environment of its own: its pins and ours need not agree."""

import shutil
import sys
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from subprocess import DEVNULL, PIPE, run
from typing import Final

from scripts.bench.rig import Rig
from scripts.local.doors import local_url
from scripts.local.layout import RUN_FOLDER
from scripts.stack.ports import reserve_port
from scripts.stack.readiness import answers

ENVIRONMENT: Final = RUN_FOLDER / "litellm"
"""Kept between runs; deleted with everything else that runs leave behind."""
_LOCK: Final = Path("requirements.bench.lock")
_READY: Final = ".ready"
_KEY: Final = "sk-bench"
_CONFIG: Final = """\
model_list:
  - model_name: gpt-4o-mini
    litellm_params:
      model: openai/gpt-4o-mini
      api_base: {provider_url}
      api_key: {key}
litellm_settings:
  telemetry: false
  num_retries: 0
general_settings:
  master_key: {key}
"""


class NotInstalled(Exception):
    """LiteLLM cannot be measured; the message says why."""


@dataclass(frozen=True, slots=True)
class Running:
    """`url` is where chat completions are posted to, with this key."""

    url: str
    pid: int
    key: str


@dataclass(frozen=True, slots=True)
class Proxy:
    program: Path

    @contextmanager
    def running(self, rig: Rig) -> Generator[Running]:
        """One process, as its documentation advises for each core."""
        config = rig.folder / "litellm.yaml"
        config.write_text(_CONFIG.format(provider_url=rig.provider_url, key=_KEY))
        with reserve_port() as reserved:
            url = local_url(reserved.port)
            place = ("--host", "127.0.0.1", "--port", str(reserved.port), "--num_workers", "1", "--telemetry", "False")
            command = [str(self.program.absolute()), "--config", str(config.resolve()), *place]
            # what it would fetch from elsewhere at its start, it has in its package too
            env = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "ERROR", "NO_PROXY": "127.0.0.1"}
            with rig.running("litellm", command, answers(f"{url}/health/liveliness"), env) as pid:
                yield Running(f"{url}/v1/chat/completions", pid, _KEY)


def installed(*, may_install: bool) -> Proxy:
    """Raises NotInstalled."""
    program = ENVIRONMENT / "bin" / "litellm"
    if (ENVIRONMENT / _READY).exists() and program.exists():
        return Proxy(program)
    if not may_install:
        raise NotInstalled(f"not installed in {ENVIRONMENT}: a run that is not quick does that")
    lock = _LOCK if _LOCK.exists() else Path(__file__).parents[3] / _LOCK
    uv = str(Path(sys.executable).with_name("uv"))
    shutil.rmtree(ENVIRONMENT, ignore_errors=True)
    _carry_out(uv, "venv", "--quiet", "--python", sys.executable, str(ENVIRONMENT))
    python = str(ENVIRONMENT / "bin" / "python")
    _carry_out(uv, "pip", "sync", "--quiet", "--python", python, "--require-hashes", str(lock))
    (ENVIRONMENT / _READY).touch()
    return Proxy(program)


def _carry_out(*command: str) -> None:
    done = run(command, stdin=DEVNULL, stdout=DEVNULL, stderr=PIPE, text=True, check=False)  # noqa: S603  # our own words
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1:] or ["it did not say why"]
        raise NotInstalled(f"could not be installed: {last[0]}")
