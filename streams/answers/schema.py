"""Whether JSON keeps to the schema that its request named.

Schemas are other people's words: patterns are matched in linear time, references lead nowhere outside, and what does
not compile, or could take longer than anybody waits, checks nothing.
"""

from itertools import islice

import jsonschema_rs
from pydantic import JsonValue

from schemas.base import dump_json
from schemas.postprocess import AnswerRules
from schemas.prompt import JsonSchemaFormat, Params
from streams.answers.compiled import CompiledSchemas

MOST_PROBLEMS = 5
_MOST_CHARS = 256 * 1024
_PROBLEM_CHARS = 200
_SAYS_A_NAME = {
    "additionalProperties": "has a property that is not allowed",
    "unevaluatedProperties": "has a property that is not allowed",
    "propertyNames": "has a property whose name is not allowed",
}
"""What is found wrong with names, whose own message would quote them."""
_known = CompiledSchemas()


class UnusableSchema(ValueError):
    """It is no JSON Schema, or one that cannot be checked here."""


def schema_of(params: Params, rules: AnswerRules) -> str | None:
    """As text, where answers are checked against it. Not one so long that it would not be compiled anyway."""
    asked = params.response_format
    if rules.structure == "off" or not isinstance(asked, JsonSchemaFormat):
        return None
    schema = dump_json(asked.json_schema.schema_).decode()
    return schema if len(schema) <= _MOST_CHARS else None


def problems_of(value: JsonValue, schema: str) -> tuple[str, ...]:
    """Where it does not keep to the schema, and how, without a word of its values or of names that are not the
    schema's: the first few. Raises UnusableSchema.
    """
    known = _known.get(schema)
    if known is None or (known.patterns_bytes and not known.may_check(len(dump_json(value)))):
        raise UnusableSchema
    found = islice(known.validator.iter_errors(value), MOST_PROBLEMS)
    return tuple(f"{_path(error, known.names)}: {_said(error)}"[:_PROBLEM_CHARS] for error in found)


def _said(error: jsonschema_rs.ValidationError) -> str:
    return _SAYS_A_NAME.get(error.kind.name, error.message)


def _path(error: jsonschema_rs.ValidationError, names: frozenset[str]) -> str:
    steps = (str(each) if isinstance(each, int) or each in names else "*" for each in error.instance_path)
    return ".".join(steps) or "the whole"
