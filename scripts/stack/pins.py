"""The Kafka jars this project runs, by coordinate and SHA-256: what is not pinned here is on no classpath."""

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict, ValidationError

PIN_FILE: Final = Path(__file__).with_name("kafka-jars.toml")

_COORDINATE: Final = re.compile(r"(?P<group>[\w.-]+):(?P<artifact>[\w.-]+):(?P<version>[\w.-]+)")
_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_HEADER: Final = """\
# Every jar of the embedded Kafka broker and its console tools, with the SHA-256 of its bytes.
# Written by `python -m scripts.stack.pin`; change the version there, never a line here.
"""


class PinError(ValueError):
    """The pin file does not say what it must."""


@dataclass(frozen=True, slots=True, order=True)
class JarPin:
    group: str
    artifact: str
    version: str
    sha256: str

    @property
    def coordinate(self) -> str:
        return f"{self.group}:{self.artifact}:{self.version}"

    @property
    def file_name(self) -> str:
        return f"{self.artifact}-{self.version}.jar"


@dataclass(frozen=True, slots=True)
class KafkaPins:
    kafka: str
    """Version of the broker these jars make up."""
    jars: tuple[JarPin, ...]


class _PinDocument(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    kafka: str
    sha256: dict[str, str]


def parse_pins(text: str) -> KafkaPins:
    """Read the pin file's text. Raises PinError naming the entry that is wrong."""
    try:
        document = _PinDocument.model_validate(tomllib.loads(text))
    except (tomllib.TOMLDecodeError, ValidationError) as error:
        raise PinError(f"the jar pins are unreadable: {error}") from error
    jars = tuple(parse_pin(coordinate, digest) for coordinate, digest in document.sha256.items())
    if not jars:
        raise PinError("the jar pins list no jar")
    names = [jar.file_name for jar in jars]
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        # They share one directory: the second would silently replace the first.
        raise PinError(f"two pinned jars have the same file name: {', '.join(repeated)}")
    return KafkaPins(kafka=document.kafka, jars=jars)


def parse_pin(coordinate: str, digest: str) -> JarPin:
    """One pin of a `group:artifact:version` to a lower-case hex digest. Raises PinError."""
    parts = _COORDINATE.fullmatch(coordinate)
    if parts is None:
        raise PinError(f"{coordinate!r} is not group:artifact:version")
    if _SHA256.fullmatch(digest) is None:
        raise PinError(f"{coordinate} is pinned to {digest!r}, which is not a SHA-256 in lower-case hex")
    return JarPin(parts["group"], parts["artifact"], parts["version"], digest)


def render_pins(pins: KafkaPins) -> str:
    """The text `parse_pins` reads back, one sorted line a jar, so that an upgrade reads as a diff."""
    lines = [f'"{jar.coordinate}" = "{jar.sha256}"' for jar in sorted(pins.jars)]
    return "\n".join([f'{_HEADER}kafka = "{pins.kafka}"', "", "[sha256]", *lines, ""])


def committed_pins() -> KafkaPins:
    return parse_pins(PIN_FILE.read_text(encoding="utf-8"))
