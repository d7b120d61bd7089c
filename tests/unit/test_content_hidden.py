"""A text is read without what nobody sees, however that is written, and what is found is told where it is written."""

import json
import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.content import ContentRule
from schemas.flow import Refused
from schemas.request import Request
from schemas.response import Failure, Output
from streams.content.guard import guard_of
from streams.content.hidden import Reading, as_read
from streams.content.matcher import Matcher
from streams.content.redaction import mask, mask_arguments, redact_request, restore
from streams.runtime.stage import Stateless
from streams.stages import validate
from tests.unit.examples import control, delivery, forwarded, request_json, tenant, ticket, view

ESCAPE = re.compile(r"""\\ud83d\\ude00|\\udb40\\udc61|\\u[0-9a-fA-F]{4}|\\["\\/bfnrt]""")
UNSEEN = (
    "\u00ad\u034f\u061c\u115f\u17b4\u180b\u180e\u180f\u200b\u200d\u202e\u2060\u206f\u3164\ufe0f\ufeff\uffa0"
    "\ufff0\ufff9\ufffb\U0001bca0\U0001d173\U0001d17a\U000e0001\U000e0061\U000e0100\U000e0fff"
)
SEEN = "\u0600\u06dd\u070f\u3165\uff9f\ufffc\ufffd\U0001d172\U0001d17b\U000dffff\U000e1000"
texts = st.lists(
    st.sampled_from(
        ("a", "é", "語", "😀", "\\", "\\\\", r"\n", r"\"", r"\/", r"\u0041", r"\u00e9", r"\u8a9e", "u", "n")
    )
    | st.sampled_from((r"\ud83d\ude00", r"\ud83d", r"\ude00", r"\udb40\udc61", r"\u200b", r"\u00AD", "0041", "b"))
    | st.sampled_from(
        ("\u200b", "\u00ad", "\U000e0061", "\ufe0f", "\u00a0", "\u2011", "４", "＠", r"\u00a0", r"\uff14")
    ),
    max_size=14,
).map("".join)


def forbidding() -> ContentRule:
    return ContentRule(name="no-recipes", words=("thyme",))


def is_refused(content: str) -> bool:
    value = request_json(messages=[{"role": "user", "content": content}])
    rules = control(tenant(content_rules=(forbidding(),)))
    (record,) = forwarded(validate.decide(delivery(value), view(Stateless(), control=rules, delivery=delivery(value))))
    return isinstance(record.event, Refused)


@pytest.mark.parametrize("unseen", UNSEEN, ids=ascii)
def test_a_value_is_taken_out_whether_what_nobody_sees_in_it_is_written_out_or_escaped(unseen: str) -> None:
    said = {"to": f"mia@exam{unseen}ple.com"}
    for is_ascii in (False, True):
        text = json.dumps(said, ensure_ascii=is_ascii)
        assert mask(text, ("email",)) == mask_arguments(text, ("email",)) == '{"to":"[EMAIL]"}'
        assert mask(f"So: {text}", ("email",)) == 'So: {"to": "[EMAIL]"}'


@pytest.mark.parametrize("unseen", UNSEEN, ids=ascii)
def test_a_forbidden_word_is_found_whether_what_nobody_sees_in_it_is_written_out_or_escaped(unseen: str) -> None:
    guard = guard_of(control(tenant(content_rules=(forbidding(),))), ticket())
    assert guard is not None
    for is_ascii in (False, True):
        text = json.dumps({"of": f"th{unseen}yme"}, ensure_ascii=is_ascii)
        assert is_refused(text)
        assert guard.let_out(Output(content=text)).blocked is not None


@pytest.mark.parametrize("said", ["gr\u00f6\u00dfe", "gr\u00f6\u200b\u00dfe"], ids=ascii)
def test_a_forbidden_word_is_found_in_json_that_is_a_string_of_json(said: str) -> None:
    rule = ContentRule(name="no-sizes", words=("größe",), on="both")
    masked = ContentRule(name="no-sizes", words=("größe",), on="answer", action="mask")
    nested = json.dumps({"of": json.dumps({"of": said})})
    refusing, masking = (guard_of(control(tenant(content_rules=(each,))), ticket()) for each in (rule, masked))
    assert refusing is not None
    assert masking is not None
    asked = Request.decode(request_json(messages=[{"role": "user", "content": nested}]))
    assert isinstance(refusing.let_in(asked), Failure)
    assert masking.let_out(Output(content=nested)).output.content == r'{"of":"{\"of\": \"[REMOVED]\"}"}'
    told = masking.let_out(Output(content=f"So: {nested}")).output.content
    assert told == r'So: {"of": "{\"of\": \"[REMOVED]\"}"}'


@pytest.mark.parametrize("seen", SEEN, ids=ascii)
def test_what_is_seen_keeps_what_it_is_in_from_being_a_word(seen: str) -> None:
    assert as_read(f"th{seen}yme") == f"th{seen}yme"
    assert not is_refused(json.dumps(f"th{seen}yme"))


@pytest.mark.parametrize(
    ("written", "read"), [("\u00a0", " "), ("\u202f", " "), ("\u2011", "-"), ("４", "4"), ("ｂ", "b")]
)
def test_what_looks_like_a_plain_character_is_read_as_that(written: str, read: str) -> None:
    assert as_read(f"th{written}yme") == f"th{read}yme"
    assert as_read(json.dumps(f"th{written}yme")) == f'"th{read}yme"'


def test_a_phrase_is_found_whatever_white_space_is_in_it() -> None:
    rules = control(tenant(content_rules=(ContentRule(name="secret", words=(" project  thyme ",)),)))
    guard = guard_of(rules, ticket())
    assert guard is not None
    for text in ("Project thyme", "project\n  thyme!", "project\u00a0thyme", "project\tTHYME"):
        assert guard.let_out(Output(content=text)).blocked is not None, text
    for text in ("projectthyme", "project of thyme"):
        assert guard.let_out(Output(content=text)).blocked is None, text


@pytest.mark.parametrize(
    ("text", "read"),
    [
        (r"\\u200b", r"\u200b"),
        (r"\\\u200b|", "\\|"),
        (r"\ud83d\ude00", "😀"),
        (r"\uDB40\uDC61", ""),
        (r"\ud83d!", "\ufffd!"),
        (r"\x \u12 \N", r"\x \u12 \N"),
    ],
)
def test_escapes_are_read_as_json_has_them(text: str, read: str) -> None:
    assert as_read(text) == read


@given(texts)
def test_each_character_that_is_read_is_found_where_it_is_written(text: str) -> None:
    reading = Reading(text)
    read = as_read(text)
    assert (reading.written if reading.read is None else reading.read.written).decode() == read
    at, places = 0, list[tuple[int, int]]()
    for character in read:
        places.append((at, at := at + len(character.encode())))
    found = reading.placed(places)
    assert [as_read(reading.written[start:end].decode()) for start, end in found] == list(read)
    assert all(before.end <= after.start for before, after in pairwise(found))


@given(texts, st.data())
def test_what_is_found_is_told_from_its_first_character_to_its_last_with_all_that_is_hidden_between(
    text: str, data: st.DataObject
) -> None:
    reading, read = Reading(text), as_read(text)
    start = data.draw(st.integers(0, len(read)))
    end = data.draw(st.integers(start, len(read)))
    if start < end:
        (place,) = reading.placed([(len(read[:start].encode()), len(read[:end].encode()))])
        assert as_read(reading.written[place.start : place.end].decode()) == read[start:end]


@given(texts)
def test_what_begins_with_a_letter_of_an_escape_begins_behind_it(text: str) -> None:
    reading = Reading(text)
    ends = {
        at: len(text[: escape.end()].encode())
        for escape in ESCAPE.finditer(text)
        for at in range(len(text[: escape.start()].encode()) + 1, len(text[: escape.end()].encode()))
    }
    for at, byte in enumerate(reading.written):
        if byte != ord("\\"):
            assert reading.behind_escape(at) == ends.get(at, at)


@given(texts)
def test_what_is_found_twice_is_told_once(text: str) -> None:
    matches = list(Reading(text).all(Matcher("[a-z]+", r"\\+", "é|語|😀")))
    assert all(before.end <= after.start for before, after in pairwise(matches))


@pytest.mark.parametrize(
    "spelt",
    [r"\u005bEMAIL_1]", r"[EMAIL\u005f1\u005d", "[EMA\u200bIL_1]", r"[EMAIL\u200b_1]", r"\u005bemail 1]"],
)
def test_a_placeholder_that_the_request_spells_in_escapes_comes_to_stand_for_nothing(spelt: str) -> None:
    text = f'{{"a": "{spelt} and mia@example.com"}}'
    value = request_json(messages=[{"role": "user", "content": text}])
    redacted, mapping = redact_request(Request.decode(value), ("email",))
    assert mapping == {"[EMAIL_2]": "mia@example.com"}
    back = restore(str(redacted.messages[0].content), mapping)
    assert json.loads(back) == json.loads(text)
