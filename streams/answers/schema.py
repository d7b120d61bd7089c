"""Whether JSON keeps to the schema that its request named.

Schemas are other people's words: patterns are matched in linear time, references lead nowhere outside, and what does
not compile, or could take longer than anybody waits, checks nothing.
"""

from functools import lru_cache
from itertools import islice
from typing import cast

import jsonschema_rs
from pydantic import JsonValue

from schemas.base import JsonObject, dump_json, load_json
from schemas.postprocess import AnswerRules
from schemas.prompt import JsonSchemaFormat, Params
from streams.answers.unfolding import unfolds

MOST_PROBLEMS = 5
_MOST_CHARS = 256 * 1024
_PROBLEM_CHARS = 200
_PATTERN_BYTES = 1024 * 1024
_NEVER_QUOTED = "the value"


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
    """Where it does not keep to the schema, and how, without a word of its values: the first few. Raises
    UnusableSchema.
    """
    validator = _compiled(schema)
    if validator is None:
        raise UnusableSchema
    found = islice(validator.iter_errors(value), MOST_PROBLEMS)
    return tuple(f"{_path(error)}: {error.message}"[:_PROBLEM_CHARS] for error in found)


@lru_cache(maxsize=256)
def _compiled(schema: str) -> jsonschema_rs.Validator | None:
    """None is remembered as well: it would not compile the next time either."""
    patterns = jsonschema_rs.RegexOptions(size_limit=_PATTERN_BYTES, dfa_size_limit=_PATTERN_BYTES)
    try:
        known = load_json(schema)
        if not isinstance(known, dict) or unfolds(cast("JsonObject", known)):
            return None
        return jsonschema_rs.validator_for(schema, mask=_NEVER_QUOTED, pattern_options=patterns, offline=True)
    except (ValueError, jsonschema_rs.ReferencingError):
        return None


def _path(error: jsonschema_rs.ValidationError) -> str:
    return ".".join(str(step) for step in error.instance_path) or "the whole"
