"""Mended JSON says what was there and nothing else, whatever is read, and in a time proportional to its length."""

from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import JsonValue

from schemas.base import dump_json, load_json
from streams.answers.repair import Kind, Unmendable, mended

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
CONTAINERS = st.lists(JSON, max_size=4) | st.dictionaries(st.text(), JSON, max_size=4)


def leaves(value: JsonValue) -> set[str]:
    if isinstance(value, dict):
        return set(value) | {leaf for each in value.values() for leaf in leaves(each)}
    if isinstance(value, list):
        return {leaf for each in value for leaf in leaves(each)}
    return {str(value)}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{\'a\': \'it\\\'s\', "b": "say \\"hi\\""}', {"a": "it's", "b": 'say "hi"'}),
        ('{"a": True, "b": None, c: false}', {"a": True, "b": None, "c": False}),
        ('{"a": 1 "b": [1 2,,]}', {"a": 1, "b": [1, 2]}),
        ('{"a": "line\nbreak\t"}', {"a": "line\nbreak\t"}),
        ('{"a": 1, // first\n /* none */ "b": 2}', {"a": 1, "b": 2}),
        ('Sure [see below]: {"a": 1}. It\'s done.', {"a": 1}),
        ('{"a": {"b": [true, "cut of', {"a": {"b": [True, "cut of"]}}),
        ('{"a": 1, "b": 12', {"a": 1}),
        ('{"a": 1, "nam', {"a": 1}),
        ('{"a": "x\\\\"}', {"a": "x\\"}),
        ('{"a": "\\x"}', {"a": "x"}),
    ],
)
def test_what_models_get_wrong_is_put_right(text: str, value: object) -> None:
    assert mended(text) == value


@pytest.mark.parametrize(
    "text",
    [
        "",
        "I'm sorry.",
        '{"a": "un"quoted" x"}',
        '{"a": 1]',
        '{"a"}',
        '{"a": maybe}',
        '{"a": 01}',
        '{"a": NaN}',
        '{"a":',
        "[" * 200 + "]" * 200,
        '{"a": "\\ud800"}',
        "}{",
    ],
)
def test_what_would_have_to_be_guessed_is_left(text: str) -> None:
    with pytest.raises(Unmendable):
        mended(text)


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ('As [1] and [2, 3] say: {"a": 1,}', "object", {"a": 1}),
        ('As [1] says: {"a": 1,}', "any", {"a": 1}),
        ('[1] {"a": [1]}', "any", {"a": [1]}),
        ('Of ["a", "b"] I take {"a": 1}', "object", {"a": 1}),
        ('Of ["a", "b"] I take {"a": 1}', "any", {"a": 1}),
        ('Put {name} in [that\'s here](x:y): {"a": 1}', "object", {"a": 1}),
        ('For {"a": 1}: ["x", "y",]', "array", ["x", "y"]),
        ('As [1] says: [{"a": 1,}]', "array", [{"a": 1}]),
        ('As [1] says: [{"a": 1,}]', "any", [{"a": 1}]),
        ("```json\n[1, 2]\n```", "any", [1, 2]),
        (" [1, 2] ", "array", [1, 2]),
        ("As [1] says, here they are: [1, 2].", "array", [1, 2]),
        ("[1, 2,]", "any", [1, 2]),
        ("{}", "object", {}),
        ("[]", "any", []),
    ],
)
def test_what_was_asked_for_is_taken_and_not_what_prose_has_in_brackets(text: str, kind: Kind, value: object) -> None:
    assert mended(text, kind) == value


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("It is ripe [1].", "object"),
        ("It is ripe [1].", "any"),
        ("It is ripe [1] and red [2].", "array"),
        ("[1]", "object"),
        ('["a"]', "object"),
        ('[{"a": 1}]', "object"),
        ('{"a": 1}', "array"),
        ('{"outer": maybe, "inner": {"c": 1}}', "object"),
        ('{"outer": maybe, "inner": {"c": 1}', "any"),
        ('{"text": "un"quoted" {x", "inner": {"c": 1}}', "object"),
    ],
)
def test_nothing_is_taken_for_what_was_asked_for_that_may_be_something_else(text: str, kind: Kind) -> None:
    with pytest.raises(Unmendable):
        mended(text, kind)


@pytest.mark.parametrize(
    "text",
    [
        '["The "true" answer"]',
        '["a "1" b"]',
        '["a " 1 " b"]',
        '["x ",1" y"]',
        '{"a": "he said "no", "b": "ok"}',
        '{"a": "x "y": "z"}',
        '{"a": "say "", "c": 1}',
        '{"h": "5\'10"", "w": 1}',
        "{'a': 'it's', 'b': 'x'}",
        "['the dogs' 1 ' bone']",
        '{"a": ""quoted" text"}',
        '["one ""two"" three"]',
    ],
)
def test_quotes_inside_quotes_split_no_text(text: str) -> None:
    with pytest.raises(Unmendable):
        mended(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [('["a" "b"]', ["a", "b"]), ('{"a": "x"\n"b": "y"}', {"a": "x", "b": "y"}), ("[1 'b']", [1, "b"])],
)
def test_a_comma_that_is_missing_is_no_split(text: str, value: object) -> None:
    assert mended(text) == value


@given(CONTAINERS)
def test_json_that_is_right_stays_what_it_is(value: Any) -> None:
    assert mended(dump_json(value).decode()) == value


@pytest.mark.parametrize("escape", ["\\", "\\u", "\\u0", "\\u000"])
def test_a_character_that_broke_off_is_left_out(escape: str) -> None:
    assert mended(f'["a{escape}') == ["a"]
    assert mended(f'["a\\\\{escape}') == ["a\\"]


@given(CONTAINERS, st.data())
def test_json_that_broke_off_keeps_only_what_it_had_said(value: Any, data: st.DataObject) -> None:
    text = dump_json(value).decode()
    cut = text[: data.draw(st.integers(0, len(text)))]
    try:
        found = mended(cut)
    except Unmendable:
        return
    whole = leaves(value)
    assert all(any(each.startswith(leaf) for each in whole) for leaf in leaves(found))


@given(st.text(alphabet="{}[]:,\"'\\/*# \n\tatruefalsnl01-.eE`x", max_size=60))
def test_whatever_is_read_it_is_mended_or_not_and_never_breaks(text: str) -> None:
    try:
        value = mended(text)
    except Unmendable:
        return
    assert isinstance(value, dict | list)
    assert load_json(dump_json(value)) == value


@pytest.mark.timeout(10)
@pytest.mark.parametrize(
    "piece",
    ["[1] ", "{a} ", "[: ", "{'", '"', "[", '{"a":', "{/*", '\\"', '{"a":b:', "{word ", '{"k": "v" "', " ", ","],
)
def test_no_text_takes_long_to_mend(piece: str) -> None:
    kinds: tuple[Kind, ...] = ("object", "array", "any")
    texts = (piece * 30_000, '{"a": "' + piece * 30_000, " " * 300_000 + piece * 30_000)
    for text, kind in product(texts, kinds):
        try:
            mended(text, kind)
        except Unmendable:
            continue
