"""What is read of a provider's answers. Fields nobody reads are ignored; a missing one that matters is an error."""

from pydantic import BaseModel, ConfigDict


class Wire(BaseModel):
    """Providers add fields without notice, so unlike our own events these let unknown ones pass."""

    model_config = ConfigDict(frozen=True, extra="ignore")
