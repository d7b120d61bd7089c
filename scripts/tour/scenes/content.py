"""What is kept from a provider: an address goes out as a placeholder, and comes back to who wrote it."""

import time
from collections.abc import Iterator

from schemas.flow import Dispatch
from schemas.topics import DISPATCH
from scripts.tour.guide import Guide
from scripts.tour.scene import Scene, expect

_DISCREET = "discreet"


def _redaction(guide: Guide) -> Iterator[str]:
    mark = f"Note {time.time_ns()}"
    people = ("ada@example.org", "bob@example.org")
    ada, bob = (guide.answer(f"[[answer:{mark}: write to {who} today]]", tenant_id=_DISCREET) for who in people)
    values = (value for value in guide.records(DISPATCH["normal"]) if mark.encode() in value)
    asked = [bytes(Dispatch.decode(value).prompt).decode() for value in values]
    expect(len(asked) == 1 and "[EMAIL_1]" in asked[0] and "@" not in asked[0], f"the provider was asked: {asked}")
    yield f"asked: “write to {people[0]}”; all that the provider saw: “write to [EMAIL_1]”"
    said = "" if ada.output is None else ada.output.content or ""
    expect(people[0] in said, f"the answer was: {said!r}, {ada.error}")
    yield f"the answer, for who asked: “{said}”"
    said = "" if bob.output is None else bob.output.content or ""
    expect(bob.cache in {"exact", "coalesced"} and people[1] in said, f"the second answer was {bob.cache}: {said!r}")
    yield f"the same about {people[1]} came from the cache, free: “{said}”"
    refused = guide.answer("Tell me about Project Nile.", tenant_id=_DISCREET)
    code = None if refused.error is None else refused.error.code
    expect(code == "content_blocked", f"a forbidden word led to {refused.status}, {code}")
    yield f"and “Project Nile” is not let in at all: {refused.error.message if refused.error else ''}"


REDACTION = Scene("redaction", "An address is kept from the provider, and is in the answer all the same", _redaction)
