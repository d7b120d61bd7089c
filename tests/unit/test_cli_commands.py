"""The command line as a whole: what it lists, what help says, and how it ends when something is wrong."""

import hashlib
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException
from typer.main import get_command
from typer.testing import CliRunner

from scripts.cli.app import COMMANDS, app
from scripts.cli.check import Check
from scripts.cli.doctor import looked_at
from scripts.cli.fault import Fault, Stopped, sentence_of
from scripts.stack.errors import StartError

README = Path(__file__).parents[2] / "README.md"
HEAVY = ("faust", "openai", "anthropic", "aiokafka", "chdb", "clickhouse_connect", "genai_prices", "uvicorn")


def run(*arguments: str, text: str | None = None) -> Any:
    return CliRunner().invoke(app, list(arguments), input=text)


def flat(text: str) -> str:
    """Without the frame and line breaks that the width of a terminal puts in."""
    return " ".join(text.replace("│", " ").split())


def paths() -> list[tuple[str, ...]]:
    """Every command that can be called, groups and what is in them."""
    found: list[tuple[str, ...]] = []
    for name in COMMANDS:
        command: Any = get_command(import_module(f"scripts.cli.{name.replace('-', '_')}").app)
        found += [(name,), *((name, inner) for inner in getattr(command, "commands", {}))]
    return found


@pytest.mark.parametrize("name", COMMANDS)
def test_the_list_of_commands_says_of_each_what_its_own_help_says(name: str) -> None:
    assert COMMANDS[name] in flat(run("--help").stdout)
    assert COMMANDS[name] in flat(run(name, "--help").stdout)


def test_the_readme_names_every_command_and_no_other() -> None:
    _, _, section = README.read_text().partition("## Commands\n")
    listed = section.partition("lists them: ")[2].partition(". Each has")[0]
    assert sorted(re.findall("`([a-z-]+)`", listed)) == sorted(COMMANDS)


@pytest.mark.parametrize("path", paths(), ids=" ".join)
def test_every_command_has_help_and_every_command_that_does_something_an_example(path: tuple[str, ...]) -> None:
    result = run(*path, "--help")
    shown = flat(result.stdout)
    assert result.exit_code == 0
    assert "Commands" in result.stdout or f"Example: millrace {' '.join(path)}" in shown or "| millrace" in shown
    assert "--install-completion" not in shown


@pytest.mark.parametrize("path", paths(), ids=" ".join)
def test_every_option_and_argument_is_explained(path: tuple[str, ...]) -> None:
    command: Any = get_command(import_module(f"scripts.cli.{path[0].replace('-', '_')}").app)
    for inner in path[1:]:
        command = command.commands[inner]
    unexplained = [each.name for each in command.params if not each.help]
    assert unexplained == []


def test_the_list_of_commands_imports_no_sdk_and_no_engine() -> None:
    program = (
        "import sys\nfrom scripts.cli.app import main\n"
        "try:\n    main()\nfinally:\n    print(sorted({*sys.argv[2:]} & {*sys.modules}))"
    )
    command = [sys.executable, "-c", program, "--help", *HEAVY]
    done = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603  # our own program
    assert done.stdout.splitlines()[-1] == "[]"


def test_an_unknown_dimension_is_refused_with_those_there_are() -> None:
    result = run("costs", "--by", "colour")
    assert result.exit_code == 2
    assert "'tenant', 'feature', 'model', 'user', 'provider', 'deployment', 'day', 'hour', or 'label:NAME'" in flat(
        result.stderr
    )


def test_a_point_in_time_that_is_none_is_refused_in_a_sentence() -> None:
    result = run("costs", "--since", "yesterday")
    assert result.exit_code == 2
    assert result.stderr.startswith("millrace: 'yesterday' is not a point in time; give 30m, 24h or 7d ago")
    assert "Traceback" not in result.output


def test_a_file_that_is_not_there_is_named_before_anything_is_connected_to() -> None:
    result = run("publish", "no-such-file.jsonl")
    assert (result.exit_code, result.stderr) == (
        2,
        "millrace: no-such-file.jsonl cannot be read: No such file or directory\n",
    )


def test_an_assignment_without_a_value_is_refused() -> None:
    result = run("config", "apply", "any.toml", "--set", "openai_base_url")
    assert (result.exit_code, result.stderr) == (2, "millrace: --set openai_base_url: write it as NAME=VALUE\n")


def test_the_hash_of_a_key_is_that_of_the_line_without_its_end() -> None:
    result = run("config", "hash-key", text="acme-demo-key\n")
    assert result.exit_code == 0
    assert result.stdout.strip() == hashlib.sha256(b"acme-demo-key").hexdigest()


@pytest.mark.parametrize("text", ["", "\n", "two words\n", "clé\n"])
def test_what_could_not_be_sent_as_a_key_is_not_hashed(text: str) -> None:
    result = run("config", "hash-key", text=text)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("millrace: ")


def test_a_dead_letter_place_is_partition_and_offset() -> None:
    result = run("dlq", "show", "seventeen")
    assert result.exit_code == 2
    assert "write PARTITION/OFFSET, such as 3/17" in result.stderr


def test_settings_that_cannot_be_are_told_by_their_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MILLRACE_KAFKA_PARTITIONS", "many")
    result = run("topics", "show")
    assert result.exit_code == 2
    assert result.stderr.startswith("millrace: MILLRACE_KAFKA_PARTITIONS: ")


def test_what_a_simulator_cannot_do_is_told_by_its_option() -> None:
    result = run("simulate-provider", "--fault", "gremlins=0.5")
    assert result.exit_code == 2
    assert "gremlins=0.5" in result.stderr


def test_faults_of_kafka_and_of_the_stack_are_sentences_and_bugs_keep_their_traceback() -> None:
    assert sentence_of(Fault("a sentence")) == "a sentence"
    assert sentence_of(StartError("it did not start")) == "it did not start"
    assert sentence_of(KafkaException(KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED))) == (
        "Kafka: Broker: Topic authorization failed; this user lacks a right: compare what it may do with "
        "`millrace topics acls`"
    )
    assert sentence_of(ZeroDivisionError("a bug")) is None


def test_a_process_that_was_stopped_may_be_started_again_and_one_that_refused_may_not() -> None:
    assert (Stopped.exit_status, Fault.exit_status) == (1, 2)


def test_a_part_that_cannot_be_looked_at_is_a_finding_among_the_others() -> None:
    def checks() -> Any:
        yield Check("first", "is fine")
        raise Fault("nobody answers; start it")

    found = list(looked_at("Kafka", checks()))
    assert [each.is_sound for each in found] == [True, False]
    assert found[1] == Check("Kafka", "cannot be looked at", "nobody answers; start it")


def test_a_bug_in_a_check_is_not_taken_for_a_finding() -> None:
    def checks() -> Any:
        raise ZeroDivisionError
        yield

    with pytest.raises(ZeroDivisionError):
        list(looked_at("Kafka", checks()))
