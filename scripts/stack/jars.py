"""The pinned Kafka jars on this machine's disk.

What `kafka_jars` returns has just been hashed (47 jars in 40 ms): nothing else is ever run. When all of them are
there it needs no network, no Java and no Maven; when some are missing it fetches them once, however many processes
start at the same moment.
"""

import hashlib
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from scripts.stack.errors import JarError
from scripts.stack.lock import exclusive
from scripts.stack.pins import JarPin, committed_pins
from scripts.stack.settings import StackSettings

_SCRATCH: Final = ".fetch-"

Fetch = Callable[[Sequence[JarPin], Path], dict[str, Path]]
"""Downloads jars below a scratch directory; returns where each coordinate's file is."""


def kafka_jars(*, announce: Callable[[str], None] | None = None) -> tuple[Path, ...]:
    """The jars of the pinned broker and its tools, fetching what is missing; `announce` is told of a download.

    Raises JarError when a jar cannot be fetched or is not the pinned one.
    """
    settings = StackSettings()
    pins = committed_pins()

    def fetch(missing: Sequence[JarPin], scratch: Path) -> dict[str, Path]:
        if announce is not None:
            announce(f"Fetching {len(missing)} jars of Kafka {pins.kafka}; this happens once.")
        return fetch_with_jgo(missing, scratch, mirror=settings.maven_mirror)

    return verified_jars(settings.cache / f"kafka-{pins.kafka}", pins.jars, fetch)


def verified_jars(directory: Path, pins: Sequence[JarPin], fetch: Fetch) -> tuple[Path, ...]:
    """Paths of all pinned jars below `directory`, each hashed by this call. Raises JarError."""
    try:
        if _missing(directory, pins):
            directory.mkdir(parents=True, exist_ok=True)
            with exclusive(directory / ".lock", wait=True):
                _install(directory, _missing(directory, pins), fetch)
        return tuple(_verified(directory / pin.file_name, pin) for pin in pins)
    except OSError as error:
        raise JarError(
            f"the Kafka jars cannot be kept in {directory}: {error}; "
            "make it writable or set XDG_CACHE_HOME to a directory that is",
        ) from error


def _missing(directory: Path, pins: Sequence[JarPin]) -> list[JarPin]:
    return [pin for pin in pins if not (directory / pin.file_name).is_file()]


def _install(directory: Path, missing: Sequence[JarPin], fetch: Fetch) -> None:
    for abandoned in directory.glob(f"{_SCRATCH}*"):
        shutil.rmtree(abandoned)
    if not missing:
        return
    # The scratch directory is beside its target: a rename within one file system is atomic, so that whoever does
    # not hold the lock sees a jar whole or not at all, also after a crash in the middle.
    with tempfile.TemporaryDirectory(prefix=_SCRATCH, dir=directory) as scratch:
        fetched = fetch(missing, Path(scratch))
        for pin in missing:
            path = fetched[pin.coordinate]
            if (digest := sha256_of(path)) != pin.sha256:
                raise JarError(
                    f"{pin.coordinate} was fetched with SHA-256 {digest} but {pin.sha256} is pinned; it was discarded. "
                    "Something between here and the repository (a proxy, a mirror) changes files: fetch past it.",
                )
            path.replace(directory / pin.file_name)


def _verified(path: Path, pin: JarPin) -> Path:
    if (digest := sha256_of(path)) != pin.sha256:
        raise JarError(
            f"{path} is not the pinned {pin.coordinate} (SHA-256 {digest}, pinned {pin.sha256}): "
            "delete that file and start again, it will be fetched anew.",
        )
    return path


def sha256_of(path: Path) -> str:
    with path.open("rb") as jar:
        return hashlib.file_digest(jar, "sha256").hexdigest()


def fetch_with_jgo(pins: Sequence[JarPin], scratch: Path, *, mirror: str | None) -> dict[str, Path]:
    """Download jars into `scratch`. Raises JarError when the repository cannot be reached or lacks one."""
    try:
        # Here and not above: every later start is spared the import, and works where only the cache was installed.
        from scripts.stack.maven import Repository, RepositoryError  # noqa: PLC0415  # only who needs it pays for importing it
    except ImportError as error:
        raise JarError(f"fetching Kafka needs the {error.name!r} package: install 'millrace[embedded]'") from error
    try:
        return Repository(scratch, mirror=mirror).fetch(pin.coordinate for pin in pins)
    except RepositoryError as error:
        raise JarError(
            f"{error}. The first start fetches the Kafka jars once: connect this machine to the network, "
            "or set MILLRACE_MAVEN_MIRROR to a Maven repository it can reach.",
        ) from error
