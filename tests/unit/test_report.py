"""The page of a week: whole in itself, and nothing that was received becomes part of its code."""

import re
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from xml.etree import ElementTree as ET

import pytest

from scripts.cli.fault import Fault
from scripts.cli.report import monday
from scripts.report.page import page
from scripts.report.plots import line, stacked
from sinks.weekly import Amount, DayQuality, Figures

MONDAY = datetime(2026, 11, 23, tzinfo=UTC)
DAY = MONDAY.date()
FIGURES = Figures(
    total=Amount("total", 5, Decimal("0.003")),
    before=Amount("total", 5, Decimal("0.002")),
    days=((DAY, "gpt-4o-mini", Decimal("0.001")), (DAY + timedelta(days=2), "claude-haiku-4-5", Decimal("0.002"))),
    features=(Amount("<script>alert(1)</script>", 4, Decimal("0.003")), Amount("", 1, None)),
    tenants=(Amount("acme", 5, Decimal("0.003")),),
    waste=(Amount("timeout", 1, Decimal("0.0005")),),
    saved=(),
    quality=(DayQuality(DAY, 4, 1, 850),),
    uncertain=(Amount("estimated", 2, Decimal("0.0001")),),
)


def made(found: Figures = FIGURES) -> str:
    return page("Week 48", MONDAY, MONDAY + timedelta(days=7), found, MONDAY)


def test_the_page_needs_nothing_beside_it_and_runs_nothing() -> None:
    assert not re.search(r"<script|<link|<img|src=|url\(|https?://|@import", made())
    assert "prefers-color-scheme: dark" in made()


def test_names_are_text_whatever_they_hold() -> None:
    assert "&lt;script&gt;alert(1)" in made()
    assert "(none)" in made()


def test_the_sum_is_compared_with_the_time_before() -> None:
    assert "<strong>0.003000 USD</strong> for 5 requests, +50.0%" in made()
    assert "against" not in made(replace(FIGURES, before=Amount("total", 0, None)))


def test_every_day_has_its_place_and_many_models_share_the_last_colour() -> None:
    many = tuple((DAY, f"model-{number}", Decimal(number)) for number in range(1, 13))
    told = made(replace(FIGURES, days=many))
    assert "all others" in told
    assert told.count("<rect") == 8
    assert all(f"{day:%a %d}" in told for day in (DAY, date(2026, 11, 29)))


def test_a_week_of_nothing_is_a_page_too() -> None:
    nothing = Figures(Amount("total", 0, None), Amount("total", 0, None), (), (), (), (), (), (), ())
    assert "<strong>- USD</strong> for 0 requests" in made(nothing)


@pytest.mark.parametrize(
    "svg", [stacked(["a", "b"], [("x", [1, 0]), ("y & z", [3, 0])], "USD"), line(["a", "b"], [2.0, None], "ms")]
)
def test_a_plot_is_well_formed_and_stays_within_its_frame(svg: str) -> None:
    root = ET.fromstring(svg)  # noqa: S314  # our own
    for rect in root.iter("rect"):
        assert 0 <= float(rect.attrib["y"]) <= 200
        assert float(rect.attrib["y"]) + float(rect.attrib["height"]) <= 176.1


def test_a_week_is_named_as_calendars_do_and_the_last_full_one_is_meant() -> None:
    assert monday("2026-W48", DAY) == MONDAY
    assert monday(None, date(2026, 12, 2)) == MONDAY
    for wrong in ("48", "2026-W60", "2026-48"):
        with pytest.raises(Fault, match="write it as 2026-W48"):
            monday(wrong, DAY)
