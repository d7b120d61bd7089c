"""Where a local stack keeps what it needs, and how its processes find each other."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

RUN_FOLDER = Path(".millrace")
"""Below the working directory; everything in it can be deleted while nothing runs."""


@dataclass(frozen=True, slots=True)
class Layout:
    """`folder` belongs to one stack."""

    folder: Path

    @property
    def kafka(self) -> Path:
        return self.folder / "kafka"

    @property
    def clickhouse(self) -> Path:
        return self.folder / "clickhouse"

    @property
    def watch(self) -> Path:
        return self.folder / "watch"

    @property
    def secrets(self) -> Path:
        return self.folder / "secrets"

    @property
    def environment_file(self) -> Path:
        """KEY=value lines: what `millrace costs` and the others read to find a running stack."""
        return self.folder / "env"

    def log(self, process: str) -> Path:
        return self.folder / "logs" / f"{process}.log"

    def port_file(self, process: str) -> Path:
        return self.folder / "ports" / process

    def prepare(self) -> None:
        for folder in (self.folder, self.secrets, self.port_file("any").parent, self.log("any").parent):
            folder.mkdir(parents=True, exist_ok=True)
        self.secrets.chmod(0o700)

    def write_environment(self, variables: Mapping[str, str]) -> None:
        lines = "".join(f"{name}={value}\n" for name, value in sorted(variables.items()))
        self.environment_file.write_text(lines)


def read_port(file: Path) -> int | None:
    """None until the process has written the port it listens on."""
    try:
        return int(file.read_text())
    except (FileNotFoundError, ValueError):
        return None
