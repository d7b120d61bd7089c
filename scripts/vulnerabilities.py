"""`make audit`: are there known vulnerabilities in what is locked? That nobody could be asked is no answer.

Asks OSV by name and version of each locked package, through pip-audit; the registry is not asked.
"""

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

LOCKS = ("requirements.lock", "requirements.security.lock")
_ANSWER_S = 20


@dataclass(frozen=True, slots=True)
class Known:
    """`fixed_in` is empty while there is no release without it."""

    package: str
    version: str
    vulnerability: str
    fixed_in: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Audit:
    """`looked_up` counts the packages that an answer was given about; None when the service gave none."""

    looked_up: int | None
    known: tuple[Known, ...] = ()

    @property
    def status(self) -> int:
        if self.looked_up is None:
            return 2
        return 1 if self.known else 0


def read(answer: str) -> Audit:
    """pip-audit's report in JSON; anything else means that it ended before it had one."""
    try:
        content = json.loads(answer)
    except ValueError:
        return Audit(None)
    packages = [each for each in cast("dict[str, Any]", content)["dependencies"] if "skip_reason" not in each]
    known = (
        Known(each["name"], each["version"], found["id"], tuple(found["fix_versions"]))
        for each in packages
        for found in each["vulns"]
    )
    return Audit(len(packages), tuple(known))


def told(lock: str, audit: Audit) -> list[str]:
    if audit.looked_up is None:
        return [f"{lock}: could not look, the vulnerability service does not answer; nothing is known either way"]
    lines = [
        f"{lock}: {each.package} {each.version} has {each.vulnerability}; "
        + (f"fixed in {', '.join(each.fixed_in)}: run make lock" if each.fixed_in else "there is no release without it")
        for each in audit.known
    ]
    return lines or [f"{lock}: none of {audit.looked_up} packages has a known vulnerability"]


def _asked(lock: Path) -> Audit:
    command = [sys.executable, "-m", "pip_audit", "--vulnerability-service", "osv", "--disable-pip", "--require-hashes"]
    options = ["--requirement", str(lock), "--format", "json", "--progress-spinner", "off", "--timeout", str(_ANSWER_S)]
    done = subprocess.run([*command, *options], capture_output=True, text=True, check=False)  # noqa: S603  # all ours
    return read(done.stdout)


def main(locks: Sequence[str] = LOCKS) -> int:
    audits = [(lock, _asked(Path(lock))) for lock in locks]
    for lock, audit in audits:
        print("\n".join(told(lock, audit)))
    return max(audit.status for _, audit in audits)


if __name__ == "__main__":
    raise SystemExit(main())
