"""Where a provider's usage export comes from: a file, or an address that serves one."""

from http.client import HTTPException
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from scripts.cli.fault import Fault
from streams.cost.usage_export import UnreadableExport, UsageRecord, read_export

_WITHIN_S = 60


def usage_records(source: str, provider: str | None) -> list[UsageRecord]:
    """`provider`: of records that do not name theirs. Raises Fault."""
    try:
        return read_export(_content(source), source, provider)
    except UnreadableExport as error:
        raise Fault(f"--usage {error}") from error


def _content(source: str) -> bytes:
    if source.startswith(("http://", "https://")):
        try:
            with urlopen(source, timeout=_WITHIN_S) as answer:  # noqa: S310  # of the two schemes above
                return answer.read()
        except (URLError, HTTPException, OSError) as error:
            raise Fault(f"--usage {source} does not answer: {getattr(error, 'reason', error)}") from error
    try:
        return Path(source).read_bytes()
    except OSError as error:
        raise Fault(f"--usage {source} cannot be read: {error.strerror}") from error
