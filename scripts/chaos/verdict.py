"""What the verifier says, as it stands in `verdict.json`."""

from pathlib import Path
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

MOST_EXAMPLES: Final = 10


class Invariant(BaseModel):
    """`examples` are the first violations, in words."""

    model_config = ConfigDict(frozen=True)

    name: str
    checks: int
    violations: int
    examples: tuple[str, ...] = ()


class Verdict(BaseModel):
    model_config = ConfigDict(frozen=True)

    state: Literal["watching", "settled", "final"]
    sent: int
    answered: int
    invariants: tuple[Invariant, ...]


def judged(name: str, checks: int, wrong: list[str]) -> Invariant:
    """An invariant of which all violations are known in words."""
    return Invariant(name=name, checks=checks, violations=len(wrong), examples=tuple(wrong[:MOST_EXAMPLES]))


def read_verdict(path: Path) -> Verdict | None:
    """None as long as there is none."""
    try:
        return Verdict.model_validate_json(path.read_bytes())
    except (FileNotFoundError, ValidationError):
        return None
