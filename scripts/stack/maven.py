"""The only door to the Maven repository: jgo's pure-Python resolver, never a system mvn and never ~/.m2.

Importing it loads jgo, so only the first start of a machine and the pinning of a new version do.
"""

import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import requests
from jgo.maven import Dependency, MavenContext, PythonResolver

_TIMEOUT_S: Final = 20
_RETRY_AFTER_S: Final = 0.5
_CONNECTIONS: Final = 6


class RepositoryError(Exception):
    """The repository could not be reached or does not have an artifact."""


class Repository:
    """Downloads artifacts into `directory`, which belongs to this object alone."""

    def __init__(self, directory: Path, *, mirror: str | None = None) -> None:
        self._context = MavenContext(
            resolver=PythonResolver(),
            repo_cache=directory,
            local_repos=[],
            remote_repos=None if mirror is None else {"mirror": mirror.rstrip("/")},
            timeout=_TIMEOUT_S,
        )

    def fetch(self, coordinates: Iterable[str]) -> dict[str, Path]:
        """Download the jar of each `group:artifact:version`. Raises RepositoryError if one fails three times."""
        wanted = [self._context.create_dependency(coordinate) for coordinate in coordinates]
        with ThreadPoolExecutor(_CONNECTIONS) as pool:
            return dict(zip(map(_coordinate, wanted), pool.map(_download, wanted), strict=True))

    def closure(self, coordinate: str) -> list[str]:
        """Coordinates of the artifact and everything it needs at run time."""
        try:
            # A bill of materials is not asked for: importing one silently downgrades what Kafka itself declares.
            roots, transitive = self._context.resolver.resolve([self._context.create_dependency(f"{coordinate}!")])
        except (RuntimeError, OSError, requests.RequestException) as error:
            raise RepositoryError(f"{coordinate} cannot be resolved: {_reason(error)}") from error
        return [_coordinate(dependency) for dependency in (*roots, *transitive)]


def _coordinate(dependency: Dependency) -> str:
    return f"{dependency.groupId}:{dependency.artifactId}:{dependency.version}"


def _download(dependency: Dependency, attempts: int = 3) -> Path:
    try:
        return dependency.artifact.resolve()
    except (RuntimeError, OSError, requests.RequestException) as error:
        if attempts == 1:
            raise RepositoryError(f"{_coordinate(dependency)} cannot be fetched: {_reason(error)}") from error
    if (partial := dependency.artifact.cached_path) is not None:
        # Half a file would count as fetched.
        partial.unlink(missing_ok=True)
    time.sleep(_RETRY_AFTER_S)
    return _download(dependency, attempts - 1)


def _reason(error: Exception) -> str:
    """What failed in words of the machine's owner, not the layers of HTTP client it came through."""
    match error:
        case requests.exceptions.SSLError():
            return (
                "the repository's certificate is not trusted "
                "(if a proxy here re-signs TLS, set REQUESTS_CA_BUNDLE to a file with its certificate)"
            )
        case requests.exceptions.ConnectionError() | requests.exceptions.Timeout():
            return "the repository cannot be reached"
        case _:
            return str(error)
