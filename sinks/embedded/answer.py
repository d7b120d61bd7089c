"""The HTTP answer to a statement that worked: ClickHouse's headers, and the body in the coding asked for."""

from collections.abc import Mapping
from dataclasses import dataclass

import orjson

from sinks.embedded.blocks import pack_blocks
from sinks.embedded.coding import encode
from sinks.embedded.connection import Outcome
from sinks.embedded.engine import OutputFormat
from sinks.embedded.job import DEFAULT_FORMAT, Job
from sinks.embedded.native import REVISION_WITH_SERIALIZATION_KINDS, upgrade_native
from sinks.embedded.request import QueryRequest
from sinks.embedded.statement import Command

SERVER_NAME = "millrace-embedded"


@dataclass(frozen=True, slots=True)
class Answer:
    """`owner` keeps the memory of `body` alive."""

    headers: Mapping[str, str]
    body: bytes | memoryview
    owner: object


def common_headers(request: QueryRequest) -> dict[str, str]:
    return {
        "X-ClickHouse-Query-Id": request.query_id,
        "X-ClickHouse-Server-Display-Name": SERVER_NAME,
        "X-ClickHouse-Timezone": request.time_zone,
    }


def build_answer(job: Job, outcome: Outcome, elapsed_ns: int, formats: Mapping[str, OutputFormat]) -> Answer:
    """Clients tell by the format header whether a statement has a result: one that writes has none."""
    request, statement = job.request, job.statement
    headers = common_headers(request) | {"X-ClickHouse-Summary": _summary(outcome, elapsed_ns)}
    headers["Content-Type"] = "text/plain; charset=UTF-8"
    body: bytes | memoryview = outcome.data
    if isinstance(statement, Command) and (statement.reads or body):
        named = statement.format_name or request.default_format or DEFAULT_FORMAT
        output = formats.get(named.lower(), OutputFormat(named, "text/plain; charset=UTF-8"))
        headers |= {"X-ClickHouse-Format": output.name, "Content-Type": output.content_type}
        if output.name == "Native" and request.native_revision >= REVISION_WITH_SERIALIZATION_KINDS:
            body = upgrade_native(bytes(body))
    if request.answer_blocks is not None:
        body = pack_blocks(body, request.answer_blocks)
    if request.answer_coding is not None and body:
        body = encode(request.answer_coding, body)
        headers["Content-Encoding"] = request.answer_coding
    return Answer(headers | {"Content-Length": str(len(body))}, body, outcome.owner)


def _summary(outcome: Outcome, elapsed_ns: int) -> str:
    counts = {
        "read_rows": outcome.read_rows,
        "read_bytes": outcome.read_bytes,
        "written_rows": outcome.written_rows,
        "written_bytes": outcome.written_bytes,
        "total_rows_to_read": outcome.read_rows,
        "result_rows": outcome.result_rows or outcome.written_rows,
        "result_bytes": len(outcome.data),
        "elapsed_ns": elapsed_ns,
    }
    return orjson.dumps({name: str(count) for name, count in counts.items()}).decode()
