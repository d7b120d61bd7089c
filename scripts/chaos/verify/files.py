"""The files of a run, read on as they grow: whole lines only, however they are being written."""

from collections.abc import Iterable, Iterator
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Self, cast

from schemas.base import load_json
from scripts.chaos.verify.forbidden import Words, found_in
from scripts.chaos.verify.snapshot import Acknowledged, BillLine, Disruption, Leak
from scripts.cli.audit_fold import Place

_CHUNK = 1024 * 1024


class Lines:
    """A file that need not be there yet. What was fetched stays until it is taken."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._at = 0
        self._rest = b""
        self._whole: list[bytes] = []

    def fetch(self) -> Self:
        try:
            with self._file.open("rb") as opened:
                opened.seek(self._at)
                new = opened.read()
        except FileNotFoundError:
            return self
        self._at += len(new)
        *whole, self._rest = (self._rest + new).split(b"\n")
        self._whole += [line for line in whole if line]
        return self

    def taken(self) -> list[bytes]:
        whole, self._whole = self._whole, []
        return whole


class Logs:
    """Searches what is added to a folder's logs, each byte once; one that was set aside begins anew."""

    def __init__(self, folder: Path, words: Words) -> None:
        self._folder = folder
        self._words = words
        self._longest = max(len(way) for ways in words.values() for way in ways)
        self._at: dict[Path, int] = {}

    def found(self) -> Iterator[Leak]:
        for file in sorted(self._folder.glob("*.log*")):
            with file.open("rb") as opened:
                before = self._at.get(file, 0)
                if before > file.stat().st_size:
                    before = 0
                start = opened.seek(max(before - self._longest + 1, 0))
                searched = before - start
                while chunk := opened.read(_CHUNK):
                    where = f"{file.name} near byte {opened.tell() - len(chunk)}"
                    told = found_in(chunk[:searched], self._words)
                    yield from (Leak(where, name) for name in found_in(chunk, self._words) if name not in told)
                    if len(chunk) == _CHUNK:  # a word may lie across the boundary
                        opened.seek(1 - self._longest, 1)
                        searched = self._longest - 1
                self._at[file] = opened.tell()


def bill(lines: Iterable[bytes]) -> Iterator[BillLine]:
    for said in map(_json, lines):
        yield BillLine(
            at_ms=_ms(said["time"]),
            attempt_id=said["client_request_id"],
            cost_usd=Decimal(said["cost_usd"]),
            ending=said["kind"],
            arrived_ms=_ms(said["arrived"]),
        )


def acknowledged(lines: Iterable[bytes], topic: str) -> Iterator[Acknowledged]:
    """`topic`: the full name of `llm.requests`."""
    for said in map(_json, lines):
        offset = said["offset"]
        place = None if offset is None else Place(topic, said["partition"], offset)
        yield Acknowledged(said["load_number"], place, said["tenant_id"], said["request_id"], said["kind"])


class Journal:
    """The conductor's journal as disruptions. A process that died by itself disturbs until it is started again."""

    def __init__(self) -> None:
        self._faults: dict[object, Disruption] = {}

    def take(self, lines: Iterable[bytes]) -> tuple[Disruption, ...]:
        for said in map(_json, lines):
            match said["event"]:
                case "injected":
                    self._begin(said["id"], said["fault"], said)
                case "healed":
                    self._end(said["id"], said)
                case "died" if not said.get("wanted"):  # else the fault that wanted it tells of it
                    self._begin(("died", said["target"], said["at_ms"]), "died", said)
                case "restarted":
                    for key in [key for key, each in self._faults.items() if _is_death_of(each, said["target"])]:
                        self._end(key, said)
                case _:
                    pass
        return tuple(self._faults.values())

    def _begin(self, key: object, kind: str, said: dict[str, Any]) -> None:
        self._faults[key] = Disruption(kind, said["target"], said["at_ms"], None)

    def _end(self, key: object, said: dict[str, Any]) -> None:
        begun = self._faults.get(key)
        if begun is not None:
            self._faults[key] = Disruption(begun.kind, begun.target, begun.from_ms, said["at_ms"])


def _is_death_of(each: Disruption, target: str) -> bool:
    return each.kind == "died" and each.target == target and each.until_ms is None


def _ms(said: str) -> int:
    return round(datetime.fromisoformat(said).timestamp() * 1000)


def _json(line: bytes) -> dict[str, Any]:
    return cast("dict[str, Any]", load_json(line))
