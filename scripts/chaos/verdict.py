"""What the verifier says, as it stands in `verdict.json`."""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError


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


def read_verdict(path: Path) -> Verdict | None:
    """None as long as there is none."""
    try:
        return Verdict.model_validate_json(path.read_bytes())
    except (FileNotFoundError, ValidationError):
        return None
