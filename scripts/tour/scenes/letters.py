"""What happens to an event that cannot be handled, and how its request gets its answer after all."""

import time
from collections.abc import Iterator

from schemas.base import dump_json, load_json
from schemas.topics import ADMITTED
from scripts.cli.dead_letter import DeadLetter, dead_letter
from scripts.tour.guide import Guide
from scripts.tour.scene import Scene, expect


def _redrive(guide: Guide) -> Iterator[str]:
    request_id = f"tour-broken-{time.time_ns()}"
    guide.write(ADMITTED, _spoilt(guide, request_id), request_id)
    failed = guide.answer_to(request_id)
    code = None if failed.error is None else failed.error.code
    expect(code == "internal_error", f"the spoilt event led to {failed.status}, {code}")
    letter = guide.until("its dead letter", lambda: _letter(guide, request_id))
    yield f"an event that no release can read was kept, {letter.stage}: {letter.reason}; who had asked was told {code}"
    guide.millrace("dlq", "redrive", letter.place, "--because", "shown on the tour", "--yes")
    answer = guide.answer_to(f"{request_id}~redrive-admitted.{letter.origin_partition}.{letter.origin_offset}")
    expect(answer.status == "ok", f"given back, it ended as {answer.status}: {answer.error}")
    yield f"millrace dlq redrive {letter.place}: answered as {answer.request_id}, for {answer.root_request_id}"
    again = guide.millrace("dlq", "list", "--json")
    expect('"redriven":true' in again, "the list does not say that it was given back")
    yield "who did it and why is on llm.audit, and a second time would need --again"


def _spoilt(guide: Guide, request_id: str) -> bytes:
    """A question as it passes between two stages, with a fault in it: its requester and its prompt can be made out."""
    sound = guide.answer(f"Is it ripe? {time.time_ns()}").request_id
    (value,) = [value for value in guide.records(ADMITTED) if sound.encode() in value]
    return dump_json({**_object(value.replace(sound.encode(), request_id.encode())), "namespace": 5})


def _object(value: bytes) -> dict[str, object]:
    read = load_json(value)
    return {**read} if isinstance(read, dict) else {}


def _letter(guide: Guide, request_id: str) -> DeadLetter | None:
    records = guide.dead_letters()
    return next((dead_letter(each) for each in records if request_id.encode() in (each.value or b"")), None)


REDRIVE = Scene("redrive", "A request that failed for a fault of ours is given back, and answered", _redrive)
