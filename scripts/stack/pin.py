"""Pins the jars of a Kafka version: resolves them anew, hashes what arrives and rewrites the pin file.

Run as `python -m scripts.stack.pin` by whoever changes the version below, and reviewed as a diff.
"""

import tempfile
from pathlib import Path
from typing import Final

from scripts.stack.jars import sha256_of
from scripts.stack.maven import Repository
from scripts.stack.pins import PIN_FILE, KafkaPins, parse_pin, parse_pins, render_pins

KAFKA: Final = "4.3.0"
BROKER: Final = f"org.apache.kafka:kafka_2.13:{KAFKA}"
# Without what they declare: the tools drag in Kafka Connect with two web servers, for a command nobody here runs,
# and the binding would bring the logging jars the broker already has.
ALONE: Final = (
    f"org.apache.kafka:kafka-tools:{KAFKA}",
    "org.apache.logging.log4j:log4j-slf4j-impl:2.25.4",
)


def pinned(scratch: Path) -> KafkaPins:
    """What the repository serves today for the versions above. Raises RepositoryError."""
    repository = Repository(scratch)
    jars = repository.fetch([*repository.closure(BROKER), *ALONE])
    return KafkaPins(KAFKA, tuple(parse_pin(coordinate, sha256_of(path)) for coordinate, path in jars.items()))


def main() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        text = render_pins(pinned(Path(scratch)))
    pins = parse_pins(text)
    PIN_FILE.write_text(text, encoding="utf-8")
    print(f"pinned {len(pins.jars)} jars of Kafka {pins.kafka} in {PIN_FILE.name}")


if __name__ == "__main__":
    main()
