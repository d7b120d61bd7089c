"""Lines of a file as requests: request events as they are, and two formats of prompt collections as new events.

An event goes out exactly as it is written, valid or not: to judge it is the gateway's business, and its answer says
what is wrong. Only a line that is no JSON object is refused here, since it could not even be answered.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from schemas.base import load_json
from schemas.request import Request
from scripts.cli.fault import Fault


@dataclass(frozen=True, slots=True)
class Publication:
    """A request on its way out. `key` is its tenant where that can be read."""

    key: bytes | None
    value: bytes


@dataclass(frozen=True, slots=True)
class Asker:
    """In whose name prompts are asked, and of which model. Ids are `id_prefix` and the prompt's own name."""

    tenant_id: str
    id_prefix: str
    model: str = "auto"


class _Format(BaseModel):
    model_config = ConfigDict(frozen=True)


class _Instance(_Format):
    input: str = ""


class _Task(_Format):
    """A line of the user-oriented instructions."""

    id: str
    motivation_app: str = ""
    instruction: str
    instances: tuple[_Instance, ...]


class _Question(_Format):
    """A line of MT-bench."""

    question_id: int | str
    category: str = ""
    turns: Annotated[tuple[str, ...], Field(min_length=1)]


def publications(line: bytes, where: str, asker: Asker) -> tuple[Publication, ...]:
    """What one line says: nothing for a blank one, several for a task with several instances.

    Raises Fault, naming `where`, for a line that cannot be read.
    """
    if not line.strip():
        return ()
    try:
        content = load_json(line)
    except ValueError as error:
        raise Fault(f"{where} is not JSON: {error}") from error
    if not isinstance(content, dict):
        raise Fault(f"{where} is not a JSON object; a line holds one request event or one prompt")
    try:
        if "instruction" in content and "instances" in content:
            return tuple(_instructions(_Task.model_validate(content), asker))
        if "question_id" in content and "turns" in content:
            return (_question(_Question.model_validate(content), asker),)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise Fault(f"{where} makes no request: {'.'.join(map(str, first['loc']))}: {first['msg']}") from error
    tenant = content.get("tenant_id")
    return (Publication(tenant.encode() if isinstance(tenant, str) else None, line.strip()),)


def _instructions(task: _Task, asker: Asker) -> Iterator[Publication]:
    """The instruction is asked once for each of its inputs."""
    for number, instance in enumerate(task.instances):
        text = f"{task.instruction}\n\n{instance.input}" if instance.input else task.instruction
        yield _request(f"{task.id}.{number}", text, task.motivation_app, asker)


def _question(question: _Question, asker: Asker) -> Publication:
    """Its first turn: the second one needs the first one's answer."""
    return _request(f"mt_bench_{question.question_id}", question.turns[0], question.category, asker)


def _request(name: str, text: str, feature: str, asker: Asker) -> Publication:
    request = Request.model_validate(
        {
            "request_id": f"{asker.id_prefix}{name}",
            "tenant_id": asker.tenant_id,
            "model": asker.model,
            "messages": [{"role": "user", "content": text}],
            "labels": {"feature": feature} if feature else {},
        }
    )
    return Publication(asker.tenant_id.encode(), request.encode())
