"""What goes wrong, and when: by a plan of rates, or by a command in the prompt's last user message.

`[[fault:429 times=2 retry_after=1]]` fails the first two identical requests and lets the third through; several
commands take their turns one after the other. `provider=` and `model=` narrow a command to one of them.
"""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from math import inf
from typing import Annotated, Literal, Self, assert_never, get_args, overload

from pydantic import BaseModel, ConfigDict, Field, model_validator

from scripts.simulator import dice
from scripts.simulator.ask import Ask
from scripts.simulator.prompt import commands

Kind = Literal[
    "429", "quota", "500", "503", "529", "hang", "cut", "error", "malformed", "slow", "late"
]  # fmt: skip
KINDS: dict[str, Kind] = {kind: kind for kind in get_args(Kind)}

_OPTIONS = frozenset({"times", "retry_after", "delay", "after", "provider", "model"})
# Identical requests are counted for this many different ones, about 30 MB.
_MOST_COUNTED = 200_000


@dataclass(frozen=True, slots=True)
class Refuse:
    """The call is turned away, `quota` for want of credit. Nothing is generated and nothing charged."""

    kind: Literal["429", "quota", "500", "503", "529"]
    retry_after_s: float | None = None


@dataclass(frozen=True, slots=True)
class Hang:
    """The call is accepted and never answered. Nothing is generated and nothing charged."""


@dataclass(frozen=True, slots=True)
class Cut:
    """The connection closes inside the body; in a stream after so many tokens, half of them when None.

    `reported` sends the provider's error event before the end of a stream; a whole answer is refused instead.
    """

    after_tokens: int | None = None
    reported: bool = False


@dataclass(frozen=True, slots=True)
class Malformed:
    """Status 200, and a body or an event that is not JSON."""


@dataclass(frozen=True, slots=True)
class Slow:
    """The first token, or the whole answer, comes this much later."""

    delay_s: float


@dataclass(frozen=True, slots=True)
class Late:
    """The answer is ready once the client has given up: generated in full, charged in full, read by nobody."""


Silence = Hang | Late
Flaw = Cut | Malformed | Slow
Fault = Refuse | Silence | Flaw


_LONGEST_S = 30 * 86_400
_MOST = 1_000_000_000


class Rule(BaseModel):
    """The share of calls, of one model or of all, that meet a fault."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Kind
    rate: Annotated[float, Field(ge=0, le=1)]
    model: str | None = None
    retry_after_s: Annotated[float, Field(ge=0, le=_LONGEST_S)] | None = None
    delay_s: Annotated[float, Field(ge=0, le=_LONGEST_S)] = 5
    after_tokens: Annotated[int, Field(ge=0, le=_MOST)] | None = None


class Plan(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    rules: tuple[Rule, ...] = ()

    @model_validator(mode="after")
    def _a_call_meets_one_fault_at_most(self) -> Self:
        for model in {rule.model for rule in self.rules}:
            share = sum(rule.rate for rule in self.rules if rule.model in (None, model))
            if share > 1:
                raise ValueError(f"the rates for {model or 'all models'} add up to {share:g}; 1 is every call")
        return self

    def with_model(self, model: str, rules: tuple[Rule, ...]) -> "Plan":
        """The plan with this model's rules replaced."""
        kept = tuple(rule for rule in self.rules if rule.model != model)
        return Plan(rules=(*kept, *(rule.model_copy(update={"model": model}) for rule in rules)))

    def pick(self, model: str, u: float) -> Fault | None:
        """The fault of a call whose draw is `u`, uniform in (0, 1)."""
        for rule in self.rules:
            if rule.model in (None, model):
                u -= rule.rate
                if u < 0:
                    return fault(
                        rule.kind,
                        retry_after_s=rule.retry_after_s,
                        delay_s=rule.delay_s,
                        after_tokens=rule.after_tokens,
                    )
        return None


def fault(
    kind: Kind, *, retry_after_s: float | None = None, delay_s: float = 5, after_tokens: int | None = None
) -> Fault:
    """The fault with its options; those it has no use for are ignored. A 429 always says when to come back."""
    chosen: Fault
    match kind:
        case "429":
            chosen = Refuse(kind, 1 if retry_after_s is None else retry_after_s)
        case "quota" | "500" | "503" | "529":
            chosen = Refuse(kind, retry_after_s)
        case "hang":
            chosen = Hang()
        case "cut" | "error":
            chosen = Cut(after_tokens, reported=kind == "error")
        case "malformed":
            chosen = Malformed()
        case "slow":
            chosen = Slow(delay_s)
        case "late":
            chosen = Late()
        case _:
            assert_never(kind)
    return chosen


def kind_of(fault: Fault) -> Kind:
    match fault:
        case Refuse(kind):
            return kind
        case Cut(reported=reported):
            return "error" if reported else "cut"
        case Hang() | Malformed() | Slow() | Late():
            return KINDS[type(fault).__name__.lower()]
        case _:
            assert_never(fault)


def commanded(ask: Ask, seen_before: int) -> Fault | None:
    """The fault the prompt asks for on this repetition; ValueError names what a command has wrong."""
    turn = seen_before
    for name, words in commands(ask.text):
        if name != "fault":
            continue
        kind, options = _parsed(words)
        if not _concerns(ask, options):
            continue
        times = _number(options, "times", float("inf"))
        if turn >= times:
            turn -= int(times)
            continue
        after = _number(options, "after", None)
        return fault(
            kind,
            retry_after_s=_number(options, "retry_after", None),
            delay_s=_number(options, "delay", 5),
            after_tokens=None if after is None else int(after),
        )
    return None


def _parsed(words: str) -> tuple[Kind, dict[str, str]]:
    first, *rest = words.split() or [""]
    kind = KINDS.get(first)
    if kind is None:
        raise ValueError(f"the prompt asks for the fault '{first}'; there are {', '.join(KINDS)}")
    options = {name: value for name, _, value in (word.partition("=") for word in rest)}
    if unknown := set(options) - _OPTIONS:
        raise ValueError(f"a fault takes {', '.join(sorted(_OPTIONS))}, not {', '.join(sorted(unknown))}")
    return kind, options


def _concerns(ask: Ask, options: Mapping[str, str]) -> bool:
    return options.get("provider") in (None, ask.model.provider) and options.get("model") in (
        None,
        ask.model.name,
        ask.asked_model,
    )


@overload
def _number(options: Mapping[str, str], name: str, default: float) -> float: ...
@overload
def _number(options: Mapping[str, str], name: str, default: None) -> float | None: ...
def _number(options: Mapping[str, str], name: str, default: float | None) -> float | None:
    word = options.get(name)
    if word is None:
        return default
    try:
        number = float(word)
    except ValueError:
        number = inf
    if not number <= _MOST:
        raise ValueError(f"the prompt's fault has {name}={word}; a number of at most {_MOST} belongs there")
    return max(0, number)


class Faults:
    """The plan in force and how often each request has been seen; the only state faults have."""

    def __init__(self, seed: int, plan: Plan) -> None:
        self.plan = plan
        self._seed = seed
        self._seen: OrderedDict[bytes, int] = OrderedDict()

    def strike(self, ask: Ask) -> Fault | None:
        """The fault this call meets. ValueError when its prompt's command cannot be read."""
        if not self.plan.rules and "[[fault:" not in ask.text:
            return None
        before = self._seen.pop(ask.identity, 0)
        self._seen[ask.identity] = before + 1
        if len(self._seen) > _MOST_COUNTED:
            self._seen.popitem(last=False)
        asked_for = commanded(ask, before)
        if asked_for is not None or not self.plan.rules:
            return asked_for
        return self.plan.pick(ask.model.name, dice.unit(self._seed, ask.identity, f"fault {before}"))

    def forget(self) -> None:
        """Every request counts as new again."""
        self._seen.clear()
