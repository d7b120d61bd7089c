"""What a tenant and its route say about texts, made ready: rules that prompts and answers must keep, and what is taken
out of them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial

from msgspec.structs import replace

from schemas.base import JsonObject
from schemas.content import AnswerGuard, AnswerRule, ContentRule, Redaction
from schemas.flow import Completion, Ticket
from schemas.request import Request
from schemas.response import Failure, Output, ToolCall
from streams.answers.pipeline import Processed
from streams.content.entities import MOST_SPANS, TooManyError
from streams.content.hidden import Reading
from streams.content.json_text import in_json, in_text
from streams.content.leaves import in_messages, in_params
from streams.content.matcher import Matcher, words
from streams.content.redaction import Mapped, mask, mask_arguments, redact_request, restore
from streams.control import ControlView
from streams.routes import choose_route

REMOVED = "[REMOVED]"
NO_GUARD = AnswerGuard()
MOST_CARRIED_BYTES = 64 * 1024
"""Of rules, on each event: who says more of answers is obeyed as of when an answer is looked at."""
_TOO_MANY = f"holds more than {MOST_SPANS} values that are to be taken out"


@dataclass(frozen=True, slots=True)
class Rule:
    said: ContentRule | AnswerRule
    matchers: tuple[Matcher, ...]

    def forbids(self, texts: Sequence[Reading]) -> bool:
        if self.said.max_chars is not None and sum(text.chars for text in texts) > self.said.max_chars:
            return True
        return any(text.has(matcher) for matcher in self.matchers for text in texts)

    def masked(self, text: str) -> str:
        for matcher in self.matchers:
            reading = _reading(text)
            data = reading.written
            pieces: list[bytes] = []
            at = 0
            for start, end in reading.all(matcher):
                pieces += (data[at:start], REMOVED.encode())
                at = end
            text = b"".join((*pieces, data[at:])).decode()
        return text

    def masked_text(self, text: str) -> str:
        """What is found only between JSON's strings is taken out all the same: then it is JSON no more."""
        return self._all_masked(text, in_text(text, self.masked))

    def masked_arguments(self, arguments: str) -> str:
        return self._all_masked(arguments, in_json(arguments, self.masked))

    def _all_masked(self, text: str, masked: str) -> str:
        return self.masked(text) if masked == text else masked


@dataclass(frozen=True, slots=True)
class Guarded:
    """An answer as it may be given. `notes`: what was done, by the step's name; they quote nothing."""

    output: Output
    notes: dict[str, str]
    blocked: Failure | None = None


@dataclass(frozen=True, slots=True)
class Guard:
    prompt_rules: tuple[Rule, ...]
    answer_rules: tuple[Rule, ...]
    redaction: Redaction | None
    carried: AnswerGuard | None = NO_GUARD

    def let_in(self, request: Request) -> tuple[Request, Mapped] | Failure:
        """The request as it may go on, and what was taken out of it where that is to be put back."""
        if self.prompt_rules:
            texts = list(map(_reading, _texts_of(request)))
            for rule in self.prompt_rules:
                if rule.forbids(texts):
                    return _refusal(rule)
        if self.redaction is None or not self.redaction.of_prompt:
            return request, {}
        try:
            request, mapping = redact_request(request, self.redaction.entities)
        except TooManyError:
            message = f"the prompt {_TOO_MANY}; send it in parts"
            return Failure(code="request_too_large", message=message, field="messages")
        return request, mapping if self.redaction.restore else {}

    def let_out(self, output: Output) -> Guarded:
        notes: dict[str, str] = {}
        texts = list(map(_reading, _said(output)))
        for rule in self.answer_rules:
            if not rule.forbids(texts):
                continue
            notes["content_rules"] = f"{'masked' if rule.said.action == 'mask' else 'blocked'}: {rule.said.name}"
            if rule.said.action == "refuse":
                return Guarded(Output(), notes, _blocked(f"content rule {rule.said.name!r} holds the answer back"))
            output = _changed(output, rule.masked_text, rule.masked_arguments)
            texts = list(map(_reading, _said(output)))
        if self.redaction is None or not self.redaction.of_answer:
            return Guarded(output, notes)
        entities = self.redaction.entities
        try:
            redacted = _changed(output, partial(mask, entities=entities), partial(mask_arguments, entities=entities))
        except TooManyError:
            return Guarded(Output(), notes | {"redaction": "blocked"}, _blocked(f"the answer {_TOO_MANY}"))
        return Guarded(redacted, notes if redacted == output else notes | {"redaction": "masked"})


def guard_of(control: ControlView, ticket: Ticket) -> Guard | None:
    """None where neither the tenant nor its route says anything, as for nearly all."""
    if not control.guards_texts:
        return None
    choice = choose_route(control, ticket)
    asked = (ticket.tenant_id, None if choice is None else choice.route.name)
    known = control.guards
    if asked not in known:
        tenant = control.tenants.get(ticket.tenant_id or "")
        rules = (*(tenant.content_rules if tenant else ()), *(choice.route.content_rules if choice else ()))
        known[asked] = _guard(rules, tenant.redaction if tenant else None)
    return known[asked]


def carried(control: ControlView, ticket: Ticket) -> AnswerGuard | None:
    """What its answer is held to from here on, whatever is said later."""
    guard = guard_of(control, ticket)
    return NO_GUARD if guard is None else guard.carried


def _guard_of(completion: Completion, control: ControlView) -> Guard | None:
    said = completion.guard
    return guard_of(control, completion.ticket) if said is None else guard_said(said)


@lru_cache(maxsize=256)
def guard_said(said: AnswerGuard) -> Guard | None:
    """Of answers, as a plan carries it. None where it says nothing."""
    if said == NO_GUARD:
        return None
    redaction = Redaction(entities=said.redacted, of="answer") if said.redacted else None
    return Guard((), _ready(said.rules), redaction, said)


def let_out(
    completion: Completion, seen: Processed | None, control: ControlView, clock_us: Callable[[], int]
) -> tuple[Completion, Processed | None]:
    """The completion as it may be told and kept; and what was done to its answer, beside what was `seen` before."""
    answer = completion.answer
    guard = None if answer is None else _guard_of(completion, control)
    if answer is None or guard is None:
        return completion, seen
    since_us = clock_us()
    guarded = guard.let_out(answer.output)
    answer = replace(answer, output=guarded.output)
    if guarded.blocked is not None:
        answer = replace(answer, finish_reason="content_filter")
        completion = replace(completion, status="failed", failure=guarded.blocked)
    before = seen or Processed(answer, {}, {})
    steps, step_us = before.steps | guarded.notes, before.step_us | {"content": clock_us() - since_us}
    return replace(completion, answer=answer), replace(before, answer=answer, steps=steps, step_us=step_us)


def told(completion: Completion) -> Completion:
    """To the requester alone: with what was taken out of its prompt back in place. Never what is kept for others."""
    answer, mapping = completion.answer, completion.ticket.redacted
    if answer is None or not mapping:
        return completion
    return replace(completion, answer=replace(answer, output=restored(answer.output, mapping)))


def restored(output: Output, mapping: Mapped) -> Output:
    """With what was taken out of the prompt in the places of its placeholders."""
    back = partial(restore, mapping=mapping)
    return _changed(output, back, back)


def _guard(rules: Sequence[ContentRule], redaction: Redaction | None) -> Guard | None:
    if not rules and redaction is None:
        return None
    of_answers = [each for each in rules if each.on != "prompt"]
    of_prompts = [each for each in rules if each.on != "answer"]
    return Guard(_ready(of_prompts), _ready(of_answers), redaction, _carried(of_answers, redaction))


def _carried(rules: Sequence[ContentRule], redaction: Redaction | None) -> AnswerGuard | None:
    guard = AnswerGuard(
        rules=tuple(
            AnswerRule(
                name=each.name, words=each.words, patterns=each.patterns, max_chars=each.max_chars, action=each.action
            )
            for each in rules
        ),
        redacted=redaction.entities if redaction is not None and redaction.of_answer else (),
    )
    return guard if len(guard.encode()) <= MOST_CARRIED_BYTES else None


def _reading(text: str) -> Reading:
    """Also of JSON in a string of JSON."""
    return Reading(text, depth=2)


def _ready(rules: Sequence[ContentRule | AnswerRule]) -> tuple[Rule, ...]:
    return tuple(Rule(each, _matchers(each)) for each in rules)


def _matchers(rule: ContentRule | AnswerRule) -> tuple[Matcher, ...]:
    return (
        *([words(rule.words)] if rule.words else ()),
        *([Matcher(*rule.patterns)] if rule.patterns else ()),
    )


def _refusal(rule: Rule) -> Failure:
    message = f"content rule {rule.said.name!r} does not let this prompt through; change it, or ask the operator"
    return Failure(code="content_blocked", message=message, field="messages")


def _blocked(why: str) -> Failure:
    return Failure(code="content_blocked", message=f"{why}; ask otherwise, or ask the operator")


def _texts_of(request: Request) -> list[str]:
    texts: list[str] = []

    def look(text: str) -> str:
        texts.append(text)
        return text

    said = request.model_dump(mode="json", by_alias=True, include={"messages", "params"}, exclude_defaults=True)
    messages: list[JsonObject] = said["messages"]
    in_messages(messages, look, look)
    in_params(said.get("params", {}), look)
    return texts


def _said(output: Output) -> list[str]:
    texts = [output.content, output.refusal, *(call.function.arguments for call in output.tool_calls)]
    return [text for text in texts if text]


def _changed(output: Output, text: Callable[[str], str], arguments: Callable[[str], str]) -> Output:
    """`parsed` is made of the content afterwards."""

    def called(call: ToolCall) -> ToolCall:
        return replace(call, function=replace(call.function, arguments=arguments(call.function.arguments)))

    return replace(
        output,
        content=output.content and text(output.content),
        refusal=output.refusal and text(output.refusal),
        tool_calls=tuple(map(called, output.tool_calls)),
        parsed=None,
    )
