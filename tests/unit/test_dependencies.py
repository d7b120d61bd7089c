"""What is installed is what is locked, nothing runs at every start unseen, and no registry is written down."""

import json
import re
import site
import subprocess
from pathlib import Path

import pytest

from scripts.vulnerabilities import Audit, Known, read, told

ROOT = Path(__file__).parents[2]
LOCKS = sorted(ROOT.glob("requirements*.lock"))
REQUIREMENT = re.compile(r"[a-z0-9][a-z0-9.-]*==[^\s;]+( ; [^\\]+)?")
HASH = re.compile(r"--hash=sha256:[0-9a-f]{64}")

EXPECTED_PTH = {
    "_millrace.pth": "this project, installed in place",
    "distutils-precedence.pth": "setuptools, which a new environment comes with",
    "_virtualenv.pth": "the same from other makers of environments",
    "a1_coverage.pth": "coverage measured in processes that a test starts",
}
"""By file name, with the reason: Python runs what is in them whenever it starts."""

REGISTRIES = (
    *("pypi" + ".org", "python" + "hosted", "maven" + ".org", "maven" + ".apache", "sona" + "type", "npm" + "js"),
    *("registry.yarn" + "pkg", "crates" + ".io", "proxy." + "golang.org"),
)


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_everything_that_is_locked_has_one_version_and_its_hashes(lock: Path) -> None:
    whole = lock.read_text().replace("\\\n", "")
    lines = [line for line in whole.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    assert lines
    for line in lines:
        pinned, *hashes = re.split(r"\s+(?=--hash)", line.strip())
        assert REQUIREMENT.fullmatch(pinned.strip()), pinned
        assert hashes, pinned
        assert all(HASH.fullmatch(each.strip()) for each in hashes), pinned


def test_nothing_unexpected_runs_whenever_python_starts() -> None:
    found = {file.name for folder in site.getsitepackages() for file in Path(folder).glob("*.pth")}
    assert found <= EXPECTED_PTH.keys(), f"unknown: {found - EXPECTED_PTH.keys()}"


def test_no_committed_file_names_a_package_registry() -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("only a repository knows what is committed")
    listed = subprocess.run(  # noqa: S603  # with arguments made here
        ["git", "grep", "--untracked", "-l", "-I", "-i", "-E", "|".join(map(re.escape, REGISTRIES))],  # noqa: S607  # whichever git there is
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert listed.returncode in (0, 1), listed.stderr
    assert not listed.stdout.split()


ONE_FOUND: dict[str, object] = {
    "dependencies": [
        {"name": "idna", "version": "3.20", "vulns": []},
        {"name": "ours", "skip_reason": "not on the registry"},
        {"name": "old", "version": "1", "vulns": [{"id": "OSV-1", "fix_versions": ["2"]}]},
    ],
    "fixes": [],
}


def test_a_known_vulnerability_is_named_with_the_way_out() -> None:
    audit = read(json.dumps(ONE_FOUND))
    assert audit == Audit(2, (Known("old", "1", "OSV-1", ("2",)),))
    assert audit.status == 1
    assert told("a.lock", audit) == ["a.lock: old 1 has OSV-1; fixed in 2: run make lock"]


def test_that_nobody_could_be_asked_is_not_taken_for_a_clean_answer() -> None:
    audit = read("")
    assert audit.status == 2
    assert "nothing is known either way" in told("a.lock", audit)[0]
    assert read(json.dumps({"dependencies": [], "fixes": []})).status == 0
