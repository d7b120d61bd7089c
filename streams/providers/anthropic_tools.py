"""What an answer must look like, in Anthropic's terms: tools, which of them to call, and structured output."""

from dataclasses import dataclass, field

from anthropic import transform_schema
from anthropic.types import OutputConfigParam, ToolChoiceParam, ToolParam

from schemas.base import JsonObject, dump_json
from schemas.prompt import (
    FunctionDefinition,
    JsonObjectFormat,
    JsonSchemaFormat,
    NamedTool,
    Params,
)
from streams.providers.anthropic_dialect import Dialect

ANSWER_TOOL = "millrace_answer"
"""A tool of ours the model must call where JSON is wanted and cannot be demanded otherwise: its input is the answer."""

_ANY_OBJECT: JsonObject = {"type": "object"}


@dataclass(slots=True)
class Shape:
    """`instructions` say in words what no parameter of the model can."""

    tools: list[ToolParam] = field(default_factory=list[ToolParam])
    choice: ToolChoiceParam | None = None
    output: OutputConfigParam | None = None
    instructions: list[str] = field(default_factory=list[str])


def shape(params: Params, dialect: Dialect, called: tuple[str, ...]) -> Shape:
    """`called` are the tools of earlier turns: Anthropic wants every conversation with calls to declare some tool."""
    shaped = Shape(tools=[_tool(tool.function, dialect) for tool in params.tools])
    if params.tools:
        _choose(shaped, params, dialect)
    elif called:
        shaped.tools = [{"name": name, "input_schema": _object_schema({})} for name in called]
        shaped.choice = {"type": "none"}
    match params.response_format:
        case JsonSchemaFormat(json_schema=wanted):
            native = _closed(wanted.schema_) if wanted.strict and dialect.schemas else None
            if native is not None:
                shaped.output = {"format": {"type": "json_schema", "schema": native}}
            else:
                _answer_in_json(shaped, wanted.schema_, wanted.description, params, dialect)
        case JsonObjectFormat():
            _answer_in_json(shaped, _ANY_OBJECT, None, params, dialect)
        case _:
            pass
    return shaped


def _choose(shaped: Shape, params: Params, dialect: Dialect) -> None:
    match params.tool_choice:
        case None | "auto":
            shaped.choice = {"type": "auto"}
        case "none":
            shaped.choice = {"type": "none"}
        case "required":
            if dialect.forced_tools:
                shaped.choice = {"type": "any"}
            else:
                shaped.instructions.append("Answer by calling one of the tools.")
        case NamedTool(function=function):
            if dialect.forced_tools:
                shaped.choice = {"type": "tool", "name": function.name}
            else:
                shaped.instructions.append(f"Answer by calling the tool {function.name}.")


def _answer_in_json(
    shaped: Shape, schema: JsonObject, description: str | None, params: Params, dialect: Dialect
) -> None:
    """Native structured output knows closed schemas only: OpenAI's `strict`. Everything else goes through a tool."""
    if params.tools and params.tool_choice not in (None, "auto", "none"):
        return  # a tool of the caller's is demanded, so the answer is that tool's call
    if not dialect.forced_tools:
        shaped.instructions.append("Answer with one JSON object and nothing else, without a code fence.")
        if schema != _ANY_OBJECT:
            shaped.instructions.append(f"It follows this JSON Schema: {dump_json(schema).decode()}")
        return
    shaped.tools.append(
        {
            "name": ANSWER_TOOL,
            "description": description or "Give the answer.",
            "input_schema": _object_schema(schema),
        }
    )
    if params.tools and params.tool_choice != "none":
        shaped.choice = {"type": "any", "disable_parallel_tool_use": True}
    else:
        shaped.choice = {"type": "tool", "name": ANSWER_TOOL, "disable_parallel_tool_use": True}


def _tool(function: FunctionDefinition, dialect: Dialect) -> ToolParam:
    strict = _closed(_object_schema(function.parameters)) if function.strict and dialect.schemas else None
    tool: ToolParam = {"name": function.name, "input_schema": strict or _object_schema(function.parameters)}
    if function.description is not None:
        tool["description"] = function.description
    if strict is not None:
        tool["strict"] = True
    return tool


def _object_schema(schema: JsonObject) -> dict[str, object]:
    """OpenAI lets the parameters of a tool without any be absent, or their type."""
    return {"type": "object", "properties": {}, **schema} if "$ref" not in schema else {**schema}


def _closed(schema: dict[str, object] | JsonObject) -> dict[str, object] | None:
    """The schema in the subset Anthropic compiles; None when the SDK cannot express it there."""
    try:
        return transform_schema({**schema})
    except (ValueError, TypeError, AttributeError, AssertionError, RecursionError):
        return None
