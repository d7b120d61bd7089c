"""Looks for strings that must not be somewhere: in files, and in whatever else a caller has read.

A canary is found as it was written, and as base64, hexadecimal or a URL would carry it: what leaks is seldom tidy.
"""

from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

SHORTEST = 10
"""Letters: what is shorter is met by chance."""
_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """`canary` is its name and not its text, so that a report about leaks is none. `where`: a file, or a place."""

    canary: str
    where: str


def forms(text: str) -> frozenset[bytes]:
    """Every way in which the text is looked for."""
    plain = text.encode()
    # base64 has three phases; the letters at both ends depend on what stands beside the text
    phases = (b64encode(b"\0" * shift + plain)[shift and shift + 1 : -4] for shift in range(3))
    return frozenset((plain, plain.hex().encode(), quote(text).encode(), *(phase for phase in phases if phase)))


class Canaries:
    """`texts` are canaries by name. Raises ValueError for one that is too short."""

    def __init__(self, texts: Mapping[str, str]) -> None:
        if short := [name for name, text in texts.items() if len(text) < SHORTEST]:
            raise ValueError(f"canaries of less than {SHORTEST} letters prove nothing: {', '.join(sorted(short))}")
        self._forms = {name: forms(text) for name, text in texts.items()}
        self._longest = max((len(form) for each in self._forms.values() for form in each), default=0)

    def in_bytes(self, content: bytes) -> frozenset[str]:
        """The names of those that are in it."""
        return frozenset(name for name, each in self._forms.items() if any(form in content for form in each))

    def in_places(self, places: Iterable[tuple[str, bytes]]) -> Iterator[Finding]:
        for where, content in places:
            yield from (Finding(name, where) for name in sorted(self.in_bytes(content)))

    def in_files(self, files: Iterable[Path]) -> Iterator[Finding]:
        """Each once per file, however large it is. A file that has gone meanwhile holds nothing."""
        for file in files:
            try:
                found = self._in_file(file)
            except FileNotFoundError:
                continue
            yield from (Finding(name, str(file)) for name in sorted(found))

    def _in_file(self, file: Path) -> frozenset[str]:
        found: frozenset[str] = frozenset()
        overlap = b""
        with file.open("rb") as opened:
            while chunk := opened.read(_CHUNK_BYTES):
                content = overlap + chunk
                found |= self.in_bytes(content)
                overlap = content[-self._longest :]
        return found
