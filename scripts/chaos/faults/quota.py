"""A ClickHouse without room: it refuses every insert as it does when its disk is full, and stays up.

By a setting of the table and not by a limit on the size of its files: what the kernel refuses the embedded engine in
that way (EFBIG) it acknowledges all the same, so it does not run under such a limit at all.
"""

from collections.abc import Mapping
from contextlib import closing
from typing import Final

from clickhouse_connect.driver.exceptions import ClickHouseError

from scripts.chaos.system import System
from sinks.connection import connect

_SETTING: Final = "min_free_disk_bytes_to_perform_insert"
_MORE_THAN_ANY_DISK: Final = 10**18


class QuotaReached:
    def __init__(self, system: System, name: str) -> None:
        self._system = system
        self._name = name

    def hindrance(self) -> str:
        return "" if self._system.stack.supervisor.ready(self._name) else "it is just being started again"

    def describe(self) -> Mapping[str, object]:
        return {"pid": self._system.pid(self._name), "free_bytes_wanted": _MORE_THAN_ANY_DISK}

    def inject(self) -> None:
        self._alter(f"MODIFY SETTING {_SETTING} = {_MORE_THAN_ANY_DISK}")

    def heal(self) -> None:
        """Left to `recovered`, since it may be just being started again, with the setting that it keeps."""

    def recovered(self) -> bool:
        try:
            self._alter(f"RESET SETTING {_SETTING}")
        except ClickHouseError:
            return False
        return True

    def _alter(self, what: str) -> None:
        settings = self._system.stack.clickhouse
        with closing(connect(settings)) as connection:
            connection.command(f"ALTER TABLE {settings.database}.call_rows {what}")
