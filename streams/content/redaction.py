"""Personal data and secrets out of what is asked, and back into what is answered.

A value becomes a placeholder, `[EMAIL_1]`, the same for the same value throughout a request. So equal questions about
different people are one question to the cache; each gets its own people back.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import get_args

from schemas.base import dump_json, load_json
from schemas.content import Entity
from schemas.prompt import Prompt
from schemas.request import Request
from streams.content.entities import MOST_SPANS, TooManyError, may_hold, spans_of
from streams.content.hidden import as_read
from streams.content.json_text import in_json, in_text
from streams.content.leaves import in_messages, in_params

Mapped = Mapping[str, str]
"""Values by their placeholders."""

MASKED: Mapping[Entity, str] = {entity: f"[{entity.upper()}]" for entity in get_args(Entity)}
"""What stands for what a model said, which nobody can put back."""

_LABELS = "|".join(sorted((entity.upper() for entity in get_args(Entity)), key=len, reverse=True)).replace(
    "_", r"\\?[\s_-]"
)
_PLACEHOLDER = re.compile(
    rf"\\?[\[{{<【［](?P<label>{_LABELS})[\s\\_-]{{0,3}}(?P<number>[0-9]{{1,5}})\\?[\]}}>】］]"
    rf"|(?<![A-Za-z0-9_])(?P<bare>{_LABELS})\\?_(?P<bare_number>[0-9]{{1,5}})(?![A-Za-z0-9_])",
    re.IGNORECASE,
)
"""As models write it back: in other brackets or none, escaped, in lower case, with a space for the line."""


class Redactor:
    """Of one request: numbers are given in the order of what is found. `mapping` is complete when all has been seen."""

    def __init__(self, entities: Sequence[Entity], taken: frozenset[str]) -> None:
        """`taken`: placeholders that the request itself spells, which must not come to stand for anything."""
        self._entities = entities
        self._taken = taken
        self._by_value: dict[tuple[Entity, str], str] = {}
        self._numbers: dict[Entity, int] = {}
        self._left = MOST_SPANS
        self.mapping: dict[str, str] = {}

    def redacted(self, text: str) -> str:
        """Raises TooManyError."""
        return _replaced(text, self._entities, self._placeholder)

    def _placeholder(self, entity: Entity, value: str) -> str:
        self._left -= 1
        if self._left < 0:
            raise TooManyError
        known = self._by_value.get((entity, value))
        if known is None:
            known = self._by_value[entity, value] = self._next(entity)
            self.mapping[known] = value
        return known

    def _next(self, entity: Entity) -> str:
        while True:
            number = self._numbers[entity] = self._numbers.get(entity, 0) + 1
            placeholder = f"[{entity.upper()}_{number}]"
            if placeholder not in self._taken:
                return placeholder


def redact_request(request: Request, entities: Sequence[Entity]) -> tuple[Request, Mapped]:
    """The request without those values, and what they were. Itself where there are none. Raises TooManyError."""
    said = request.model_dump(mode="json", by_alias=True, include={"messages", "params"}, exclude_defaults=True)
    spelt: set[str] = set()

    def look(text: str) -> str:
        spelt.update(_spelt(text))
        return text

    in_messages(said["messages"], look, look)
    in_params(said.get("params", {}), look)
    redactor = Redactor(entities, frozenset(spelt))
    text = partial(_where_found, entities=entities, within=partial(in_text, change=redactor.redacted))
    arguments = partial(_where_found, entities=entities, within=partial(in_json, change=redactor.redacted))
    messages = in_messages(said["messages"], text, arguments)
    params = in_params(said.get("params", {}), redactor.redacted)
    if not redactor.mapping:
        return request, {}
    prompt = Prompt.model_validate({"messages": messages, "params": params})
    return request.model_copy(update={"messages": prompt.messages, "params": prompt.params}), redactor.mapping


def mask(text: str, entities: Sequence[Entity]) -> str:
    """Of what a model said: for good. JSON stays JSON. Raises TooManyError."""
    return _where_found(text, entities, partial(in_text, change=_masking(entities)))


def mask_arguments(arguments: str, entities: Sequence[Entity]) -> str:
    """Of a tool call: JSON, whatever it begins with. Raises TooManyError."""
    return _where_found(arguments, entities, partial(in_json, change=_masking(entities)))


def _where_found(text: str, entities: Sequence[Entity], within: Callable[[str], str]) -> str:
    """One look at the whole, since JSON's strings one by one take fifty times as long. It sees all that is in them but
    for what is escaped twice.
    """
    return within(text) if "\\\\" in text or may_hold(text, entities) else text


def _masking(entities: Sequence[Entity]) -> Callable[[str], str]:
    left = MOST_SPANS

    def stand_in(entity: Entity, _value: str) -> str:
        nonlocal left
        left -= 1
        if left < 0:
            raise TooManyError
        return MASKED[entity]

    return partial(_replaced, entities=entities, stand_in=stand_in)


MOST_GROWTH = 1024 * 1024
"""Characters that a text may grow by when values are put back: a model can be asked to name a long one a thousand
times, and a response that fits no topic would lose an answer that was paid for.
"""


def restore(text: str, mapping: Mapped) -> str:
    """With the values where their placeholders are. Inside JSON they are written as JSON needs it. As it is where that
    would make it longer by more than `MOST_GROWTH`.
    """

    def value(found: re.Match[str]) -> str:
        known = mapping.get(_canonical(found))
        if known is None:
            return found[0]
        return dump_json(known).decode()[1:-1] if is_json else known

    growth = sum(len(mapping.get(_canonical(found), "")) for found in _PLACEHOLDER.finditer(text))
    if growth > MOST_GROWTH:
        return text
    is_json = _is_json(text)
    return _PLACEHOLDER.sub(value, text)


def _is_json(text: str) -> bool:
    if text.lstrip()[:1] not in {"{", "["}:
        return False
    try:
        load_json(text)
    except ValueError:
        return False
    return True


def _spelt(text: str) -> set[str]:
    """Also where it is read so only, since JSON is written anew where something is found."""
    return {_canonical(found) for said in {text, as_read(text)} for found in _PLACEHOLDER.finditer(said)}


def _canonical(found: re.Match[str]) -> str:
    label = re.sub(r"\\?[\s_-]", "_", found["label"] or found["bare"]).upper()
    return f"[{label}_{int(found['number'] or found['bare_number'])}]"


def _replaced(text: str, entities: Sequence[Entity], stand_in: Callable[[Entity, str], str]) -> str:
    found = spans_of(text, entities)
    if not found:
        return text
    data = text.encode()
    pieces: list[str] = []
    at = 0
    for start, end, entity in found:
        pieces += (data[at:start].decode(), stand_in(entity, data[start:end].decode()))
        at = end
    return "".join((*pieces, data[at:].decode()))
