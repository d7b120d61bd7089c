"""Every code block of the documents does what it says, on the running stack."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.local.stack import LocalStack

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]

ROOT = Path(__file__).parents[3]
DOCUMENTS = (
    "README.md",
    "docs/architecture.md",
    "docs/operations.md",
    "docs/guarantees.md",
    "docs/security.md",
    "docs/money.md",
    "docs/middle.md",
)
BLOCK = re.compile(r"^```(python|sh)\n(.*?)^```", re.MULTILINE | re.DOTALL)
BLOCKS = [
    pytest.param(language, code, id=f"{document}:{number}")
    for document in DOCUMENTS
    for number, (language, code) in enumerate(BLOCK.findall((ROOT / document).read_text()), 1)
]


def environment(stack: LocalStack) -> dict[str, str]:
    bin_folder = Path(sys.executable).parent
    return {
        **os.environ,  # noqa: TID251  # a document's reader has an environment too
        **stack.environment,
        "PATH": f"{bin_folder}:{os.environ['PATH']}",  # noqa: TID251  # the environment of this run
        "OPENAI_BASE_URL": f"{stack.simulator_url}/v1",
        "ANTHROPIC_BASE_URL": f"{stack.simulator_url}",
        "NO_COLOR": "1",
    }


@pytest.mark.parametrize(("language", "code"), BLOCKS)
def test_a_code_block_runs(stack: LocalStack, language: str, code: str) -> None:
    if "kcat" in code and shutil.which("kcat") is None:
        pytest.skip("kcat is not installed here; Kafka's console tools are tested instead")
    code = code.replace(".venv/bin/", f"{Path(sys.executable).parent}/")
    if all(line.startswith("make ") for line in code.splitlines()):
        code = code.replace("make ", "make --dry-run ")  # the targets themselves have tests of their own
    command = [sys.executable, "-c", code] if language == "python" else ["bash", "-euo", "pipefail", "-c", code]
    done = subprocess.run(  # noqa: S603  # our own words
        command, cwd=ROOT, env=environment(stack), capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    assert done.stdout.strip(), "it ran and said nothing"


def test_the_readme_is_short_enough_to_be_read() -> None:
    lines = (ROOT / "README.md").read_text().splitlines()
    assert len(lines) <= 150
    (life,) = [code for language, code in BLOCK.findall("\n".join(lines)) if language == "python"]
    assert len(life.splitlines()) <= 40


def test_links_between_the_documents_lead_somewhere() -> None:
    for document in (*DOCUMENTS, "docs/analytics.md", "compose/README.md"):
        folder = (ROOT / document).parent
        for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", (ROOT / document).read_text()):
            assert (folder / target).exists(), f"{document} links to {target}"
