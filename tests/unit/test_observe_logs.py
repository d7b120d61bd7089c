"""Lines that machines can read, with ids and without payloads or keys, whoever writes them."""

import json
import logging
from collections.abc import Iterator
from contextlib import redirect_stderr
from io import StringIO
from typing import Any

import pytest
import structlog

from streams.observe.logs import NEVER_LOGGED, configure_logging, logger
from tests.unit.examples import KEY, PROMPT_CANARY


class Lines:
    """What is written to standard error, read back."""

    def __init__(self) -> None:
        self._written = StringIO()

    def configure(self, level: str) -> None:
        with redirect_stderr(self._written):
            configure_logging("route", level)

    def taken(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self._written.getvalue().splitlines()]

    def only(self) -> dict[str, Any]:
        (line,) = self.taken()
        return line


@pytest.fixture
def lines() -> Iterator[Lines]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    collected = Lines()
    collected.configure("info")
    yield collected
    root.handlers = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def test_a_line_is_one_json_object_with_its_event_level_time_and_stage(lines: Lines) -> None:
    logger("streams.test").info("absorbed", topic="llm.misses", partition=3, offset=41)

    line = lines.only()
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "absorbed",
        "level": "info",
        "stage": "route",
        "topic": "llm.misses",
        "partition": 3,
        "offset": 41,
    }


@pytest.mark.parametrize("field", sorted(NEVER_LOGGED))
def test_a_field_that_could_carry_a_payload_or_a_key_is_withheld(lines: Lines, field: str) -> None:
    logger("streams.test").warning("happened", **{field: f"{PROMPT_CANARY} {KEY}"}, request_id="r-1")

    line = lines.only()
    assert (line[field], line["request_id"]) == ("[withheld]", "r-1")


def test_a_field_bound_earlier_is_withheld_too(lines: Lines) -> None:
    structlog.contextvars.bind_contextvars(prompt=PROMPT_CANARY)
    try:
        logger("streams.test").bind(authorization=KEY).error("happened")
    finally:
        structlog.contextvars.clear_contextvars()

    line = lines.only()
    assert (line["prompt"], line["authorization"]) == ("[withheld]", "[withheld]")


def test_what_a_library_logs_is_json_too_and_bears_the_stage(lines: Lines) -> None:
    logging.getLogger("aiokafka.conn").warning("no broker on %s", "127.0.0.1:9092")

    line = lines.only()
    assert (line["event"], line["level"], line["stage"]) == ("no broker on 127.0.0.1:9092", "warning", "route")


def test_a_librarys_small_talk_is_not_logged(lines: Lines) -> None:
    logging.getLogger("httpx2").info("HTTP Request: POST https://x.test/v1?key=%s", KEY)

    assert lines.taken() == []


def test_what_is_below_the_level_is_not_logged(lines: Lines) -> None:
    lines.configure("warning")

    logger("streams.test").info("absorbed")
    logger("streams.test").warning("gave_up")

    assert lines.only()["event"] == "gave_up"


def test_a_value_that_is_not_json_is_written_as_text(lines: Lines) -> None:
    logger("streams.test").info("happened", problem=ValueError("bad"), many={1})

    line = lines.only()
    assert (line["problem"], line["many"]) == ("bad", "{1}")


def test_an_exceptions_message_and_nested_events_are_withheld_but_not_where_it_happened(lines: Lines) -> None:
    lines.configure("info")
    try:
        int("the secret prompt")
    except ValueError:
        logger("streams.test").error("failed", exc_info=True, request={"messages": ["the secret prompt"]})

    line = lines.only()
    assert "the secret prompt" not in str(line)
    assert line["problem"] == "ValueError"
    assert "test_observe_logs.py" in line["where"][-1]
