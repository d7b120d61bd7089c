"""compose.yaml runs every part of the code as the code wants to be run, and shows itself to nobody else."""

import re
import subprocess
import tomllib
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from pydantic_settings import BaseSettings
from typer.main import get_command

from schemas.control import Route, RouteTarget
from schemas.participants import PARTS, STAGES
from scripts.cli.app import COMMANDS
from scripts.cli.environment import RUN_ENV, variable
from scripts.local import parts
from sinks.settings import ClickHouseSettings
from streams.settings import InvokeSettings, KafkaSettings, ObserveSettings, SinkSettings, WorkerSettings
from streams.watch.settings import WatchSettings
from tests.compose_files import COMPOSE, OURS, ROOT, SCRAPING, SERVICES, STACK

SETTINGS: tuple[type[BaseSettings], ...] = (
    ClickHouseSettings,
    InvokeSettings,
    KafkaSettings,
    ObserveSettings,
    SinkSettings,
    WatchSettings,
    WorkerSettings,
)
UPKEEP = {name: list(arguments) for name, arguments in parts.UPKEEP.items()}
ONCE = {name for name, service in SERVICES.items() if service["restart"] == "no"}
DOCKERFILE = (COMPOSE / "Dockerfile").read_text("utf-8")
SECRET_WORD = re.compile(r"PASSWORD|SECRET|TOKEN|KEY", re.IGNORECASE)


def milliseconds(duration: str) -> int:
    return int(duration.removesuffix("s")) * 1_000


def is_ours(service: Mapping[str, Any]) -> bool:
    return service["image"].startswith(OURS)


def test_every_process_has_a_service_of_its_name() -> None:
    running = {name: service["command"] for name, service in SERVICES.items() if is_ours(service) and name not in ONCE}
    stages = {name: ["stage", name] for name in STAGES}
    assert running == {**stages, "sink": ["sink"], "watch": ["watch"], **UPKEEP}


@pytest.mark.parametrize("name", [name for name, service in SERVICES.items() if is_ours(service)])
def test_a_service_of_ours_runs_a_command_that_exists(name: str) -> None:
    command, *rest = SERVICES[name]["command"]
    assert command in COMMANDS
    parsed: Any = get_command(import_module(f"scripts.cli.{command}").app)
    for word in rest[:1] if hasattr(parsed, "commands") else ():
        assert word in parsed.commands


def test_ports_are_published_on_loopback_only() -> None:
    published = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert len(published) == 4
    assert all(re.fullmatch(r"127\.0\.0\.1:(\d+):\1", port) for port in published)
    assert not any(service.get("network_mode") for service in SERVICES.values())


def test_no_secret_is_written_into_the_file() -> None:
    for name, service in SERVICES.items():
        for variable_name, value in service.get("environment", {}).items():
            if SECRET_WORD.search(variable_name):
                assert str(value).startswith("/run/secrets/"), f"{name}: {variable_name}"


def test_every_secret_is_made_by_the_script_and_no_other(tmp_path: Path) -> None:
    made = subprocess.run(  # noqa: S603  (a script of ours)
        [COMPOSE / "secrets" / "create", tmp_path], check=True, capture_output=True, text=True
    )
    wanted = {Path(secret["file"]).name for secret in STACK["secrets"].values()}
    assert {file.name for file in tmp_path.iterdir()} == {*wanted, "providers"}
    assert made.stdout == made.stderr == ""
    assert tmp_path.stat().st_mode & 0o777 == 0o700
    assert all(file.stat().st_mode & 0o444 == 0o444 for file in tmp_path.iterdir())


def test_secrets_that_are_there_are_kept_and_new_keys_made_readable(tmp_path: Path) -> None:
    def create() -> dict[str, str]:
        subprocess.run([COMPOSE / "secrets" / "create", tmp_path], check=True)  # noqa: S603  (a script of ours)
        return {file.name: file.read_text() for file in tmp_path.iterdir() if file.is_file()}

    before = create()
    key = tmp_path / "providers" / "openai_api_key"
    key.write_text("sk-test")
    key.chmod(0o600)
    assert create() == before
    assert key.stat().st_mode & 0o444 == 0o444


def test_passwords_differ_and_each_user_has_the_one_its_service_sends(tmp_path: Path) -> None:
    subprocess.run([COMPOSE / "secrets" / "create", tmp_path], check=True)  # noqa: S603  (a script of ours)
    known = dict(
        re.findall(
            r"<(millrace_\w+)><password>([0-9a-f]{48})</password>", (tmp_path / "clickhouse_passwords.xml").read_text()
        )
    )
    assert len(set(known.values())) == 4
    for name in ("tables", "sink", "cli", *UPKEEP):
        user = SERVICES[name]["environment"][variable(ClickHouseSettings, "user")]
        (secret,) = SERVICES[name]["secrets"]
        sent = ClickHouseSettings(_env_file=tmp_path / secret["source"])  # pyright: ignore[reportCallIssue]  # pydantic-settings takes it
        assert sent.password.get_secret_value() == known[user]
    assert (tmp_path / "clickhouse_analyst_password").read_text() == known["millrace_analyst"]


def test_a_password_file_lies_where_the_command_line_looks_for_what_is_not_set() -> None:
    workdir = re.search(r"^WORKDIR (/app)$", DOCKERFILE, re.MULTILINE)
    assert workdir is not None
    targets = {
        secret["target"] for service in SERVICES.values() if is_ours(service) for secret in service.get("secrets", ())
    }
    assert targets == {f"{workdir[1]}/{RUN_ENV}"}


@pytest.mark.parametrize("name", [name for name, service in SERVICES.items() if is_ours(service)])
def test_every_variable_is_a_setting_with_a_valid_value(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    known = {variable(settings, field) for settings in SETTINGS for field in settings.model_fields}
    environment = SERVICES[name]["environment"]
    assert environment.keys() <= known
    for key, value in environment.items():
        monkeypatch.setenv(key, str(value))
    for settings in SETTINGS:
        settings()


def test_a_container_may_take_longer_to_stop_than_its_work() -> None:
    grace = {name: milliseconds(service["stop_grace_period"]) for name, service in SERVICES.items() if is_ours(service)}
    drain = int(SERVICES["invoke"]["environment"][variable(InvokeSettings, "drain_ms")])
    default_route = Route(name="any", targets=(RouteTarget(deployment="any"),))
    sample = tomllib.loads((COMPOSE / "config" / "millrace.toml").read_text())
    asked_for = [ms for each in sample["route"] for ms in each.get("timeout_ms", {}).values()]
    assert grace["invoke"] > drain > max(*default_route.timeout_ms.values(), *asked_for)
    assert grace["sink"] > ClickHouseSettings().send_timeout_s * 1_000
    assert all(grace[name] > WorkerSettings().drain_ms for name in PARTS)


def test_what_runs_on_is_checked_for_health_and_what_ends_is_not() -> None:
    for name, service in SERVICES.items():
        check = service.get("healthcheck", {})
        if name in ONCE or name in UPKEEP:
            assert check == {"disable": True}
        elif is_ours(service):
            assert not check, "the image brings its own"
        else:
            assert check["test"][0] == "CMD"


def test_a_service_starts_when_what_it_needs_is_ready() -> None:
    for service in SERVICES.values():
        needed = service.get("depends_on", {})
        if isinstance(needed, dict):
            for name, condition in needed.items():  # pyright: ignore[reportUnknownVariableType]  (YAML)
                ready = "service_completed_successfully" if name in ONCE else "service_healthy"
                assert condition == {"condition": ready}
    assert {*SERVICES["invoke"]["depends_on"]} == {"config"}
    assert {*SERVICES["sink"]["depends_on"]} == {"topics", "tables"}


def test_no_container_has_more_rights_or_room_than_it_needs() -> None:
    for service in SERVICES.values():
        assert service["cap_drop"] == ["ALL"]
        assert "cap_add" not in service
        assert "privileged" not in service
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert service["mem_limit"]
    assert {name for name, service in SERVICES.items() if not service.get("read_only")} == {"kafka"}


def test_images_are_the_versions_that_the_tests_run_on() -> None:
    images = dict(service["image"].split(":") for service in SERVICES.values())
    assert "latest" not in images.values()
    jars = tomllib.loads((ROOT / "scripts" / "stack" / "kafka-jars.toml").read_text("utf-8"))
    assert images["apache/kafka"] == jars["kafka"]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert images["millrace"] == images["millrace-grafana"] == project["version"]


def test_our_image_is_built_once() -> None:
    assert [name for name, service in SERVICES.items() if is_ours(service) and "build" in service] == ["topics"]


def test_what_is_mounted_from_the_repository_is_there() -> None:
    sources = [volume.split(":")[0] for service in SERVICES.values() for volume in service.get("volumes", ())]
    files = {source for source in sources if source.startswith("./")} - {"./secrets/providers"}
    assert files
    assert all((COMPOSE / file).exists() for file in files)
    assert {source for source in sources if not source.startswith("./")} == STACK["volumes"].keys()


def test_every_process_is_scraped_where_it_listens() -> None:
    (job,) = (each for each in SCRAPING["scrape_configs"] if each["job_name"] == "millrace")
    (discovery,) = job["dns_sd_configs"]
    assert discovery["names"] == list(PARTS)
    assert f"{variable(ObserveSettings, 'port')}={discovery['port']}" in DOCKERFILE
