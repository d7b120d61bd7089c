"""A disk that is full for one broker: the kernel refuses every write beyond the first bytes of a file.

A limit on the size of files is all that can be set from outside a process, without root, while it runs.
"""

import contextlib
import sys
from collections.abc import Mapping

from scripts.chaos.faults.brokers import Down
from scripts.chaos.system import broker_name

if sys.platform == "linux":
    import resource

    def _limit(pid: int, size: int | None) -> None:
        """None: as large as it likes again."""
        with contextlib.suppress(ProcessLookupError):
            _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (hard if size is None else size, hard))

    _HINDRANCE = ""
else:

    def _limit(pid: int, size: int | None) -> None:
        raise OSError(f"the files of process {pid} cannot be limited to {size} bytes here")

    _HINDRANCE = "only Linux can limit the files of a running process"

_BROKER_BYTES = 4096
"""Below what a partition of a busy topic holds."""


class BrokerDiskFull(Down):
    """A broker that cannot write to its only disk halts by itself, and is started again when there is room."""

    def hindrance(self) -> str:
        return _HINDRANCE or super().hindrance()

    def describe(self) -> Mapping[str, object]:
        return {**super().describe(), "file_bytes": _BROKER_BYTES}

    def inject(self) -> None:
        for broker in self.brokers:
            if broker.pid is not None:
                self.system.deaths.want(broker_name(broker))
                _limit(broker.pid, _BROKER_BYTES)

    def heal(self) -> None:
        for broker in self.brokers:
            if broker.pid is not None:
                _limit(broker.pid, None)
        super().heal()
