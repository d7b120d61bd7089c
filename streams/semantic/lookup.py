"""Whether a question that is not kept means the same as one that is: pure, but for the embedder that is handed in."""

from hashlib import sha256
from typing import assert_never

from msgspec import Struct
from msgspec.structs import asdict, replace

from schemas.base import dump_json
from schemas.flow import Admitted, CacheSlot, Meaning
from schemas.prompt import Message, Prompt, UserMessage
from streams.questions import prompt_of
from streams.runtime.stage import View
from streams.semantic.embedder import PATIENCE_S
from streams.semantic.guard import VERSION, Guard, guard_of
from streams.state.kept_answers import KeptAnswers

WAITS_MS = round(PATIENCE_S * 1000)
"""For its vector a question waits no longer; then it is asked without comparison. So long takes only the very first,
for which the model is loaded, on a busy machine.
"""
_FIRST_WAIT_MS = 10


class Asked(Struct, frozen=True):
    """What of a question is compared, and what it is compared within."""

    frame: str
    text: str
    guard: Guard


class Waiting(Struct, frozen=True):
    """Its vector is being made."""

    until_ms: int


class Meant(Struct, frozen=True):
    slot: CacheSlot


def meaning_of(event: Admitted, slot: CacheSlot, view: View[KeptAnswers]) -> Waiting | Meant:
    """The slot as it is where the question cannot be compared: it does not end with a short text in Latin letters, or
    there is no vector in time.
    """
    embedder = view.state.embedder
    asked = None if embedder is None else asked_of(slot.namespace, prompt_of(event.prompt), embedder.name)
    if asked is None or embedder is None:
        return Meant(slot)
    vector = embedder.vector(asked.text)
    match vector:
        case bytes():
            return Meant(replace(slot, meaning=Meaning(frame=asked.frame, vector=vector, **asdict(asked.guard))))
        case "pending":
            return _wait(slot, event.ticket.deadline_ms, view)
        case "unavailable":
            return Meant(slot)
        case _ as unreachable:
            assert_never(unreachable)


def _wait(slot: CacheSlot, deadline_ms: int | None, view: View[KeptAnswers]) -> Waiting | Meant:
    """Twice as long each time, since to look is dear where many wait, and never past its end."""
    waited_ms = 0 if view.parked_ms is None else view.now_ms - view.parked_ms
    if waited_ms >= WAITS_MS:
        return Meant(slot)
    until_ms = view.now_ms + min(max(_FIRST_WAIT_MS, waited_ms), WAITS_MS - waited_ms)
    return Waiting(until_ms if deadline_ms is None else min(until_ms, deadline_ms))


def asked_of(namespace: str, prompt: Prompt, embedder: str) -> Asked | None:
    """Only the last message may be put differently, and only where it is a user's text: all before it is the frame."""
    *earlier, last = prompt.messages
    text = _text(last)
    guard = None if text is None else guard_of(text)
    if text is None or guard is None:
        return None
    turns = [message.model_dump(mode="json") for message in earlier]
    name = last.name if isinstance(last, UserMessage) else None
    frame = sha256(dump_json([namespace, turns, name, embedder, VERSION], sort_keys=True)).hexdigest()
    return Asked(f"{namespace}/{frame}", text, guard)


def _text(message: Message) -> str | None:
    if not isinstance(message, UserMessage):
        return None
    if isinstance(message.content, str):
        return message.content
    texts = [part.text for part in message.content if part.type == "text"]
    return "\n".join(texts) if len(texts) == len(message.content) else None
