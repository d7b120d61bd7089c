"""Requests that cannot be carried out, each from a good one: what a careless or a dishonest producer sends."""

from dataclasses import replace
from typing import Any, cast

from schemas.base import dump_json, load_json
from schemas.request import MAX_REQUEST_ID_CHARS
from schemas.topics import MAX_REQUEST_BYTES
from scripts.chaos.load import canaries
from scripts.chaos.load.sending import Kind, Sending

KINDS: tuple[Kind, ...] = (
    "missing_field",
    "unknown_model",
    "unknown_tenant",
    "wrong_key",
    "no_key",
    "not_json",
    "too_long_id",
    "too_large",
    "empty",
)


def spoilt(good: Sending, number: int) -> Sending:
    """Raises ValueError for a kind that is not bad."""
    said = cast("dict[str, Any]", load_json(good.value or b""))
    match good.kind:
        case "missing_field":
            said.pop("messages")
        case "unknown_model":
            said["model"] = "gpt-from-nowhere"
        case "unknown_tenant":
            said["tenant_id"] = "nowhere"
        case "wrong_key":
            return replace(good, credentials=canaries.WRONG_KEY.get_secret_value())
        case "no_key":
            return replace(good, credentials=None)
        case "not_json":
            broken = f'{{"request_id": "{canaries.prompt_mark(good.tenant_id or "", number)}", '
            return replace(good, tenant_id=None, request_id=None, value=broken.encode())
        case "too_long_id":
            said["request_id"] = f"{good.request_id}-".ljust(MAX_REQUEST_ID_CHARS + 20, "x")
        case "too_large":
            said["messages"][0]["content"] += "x" * MAX_REQUEST_BYTES
        case "empty":
            return replace(good, tenant_id=None, request_id=None, value=None)
        case _:
            raise ValueError(f"{good.kind} is not a bad request")
    return replace(good, tenant_id=said["tenant_id"], request_id=said["request_id"], value=dump_json(said))
