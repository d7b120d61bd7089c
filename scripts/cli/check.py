"""One thing that `millrace doctor` looks at, and what became of it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Check:
    """`found` is what was seen. `todo` is empty where nothing has to be done: that is what makes a check sound."""

    name: str
    found: str
    todo: str = ""

    @property
    def is_sound(self) -> bool:
        return not self.todo
