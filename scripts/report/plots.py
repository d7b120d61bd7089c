"""Plots as SVG inside a page: no script, no font, no file beside it. Colours are the page's."""

from collections.abc import Sequence
from html import escape

COLOURS = 8
_WIDTH, _HEIGHT = 720, 200
_LEFT, _BOTTOM, _TOP = 64, 24, 10
_GAP = 0.25


def stacked(names: Sequence[str], series: Sequence[tuple[str, Sequence[float]]], unit: str) -> str:
    """A bar for each name, made of one part of each series. The first series lies at the bottom."""
    sums = [sum(values[at] for _, values in series) for at in range(len(names))]
    most = max(sums, default=0)
    step = (_WIDTH - _LEFT) / max(len(names), 1)
    parts = _axis(names, most, unit, step)
    for at, name in enumerate(names):
        height = 0.0
        for number, (title, values) in enumerate(series):
            part = _scaled(values[at], most)
            height += part
            if part > 0:
                parts.append(
                    f'<rect class="c{number % COLOURS}" x="{_LEFT + step * (at + _GAP / 2):.1f}" '
                    f'y="{_HEIGHT - _BOTTOM - height:.1f}" width="{step * (1 - _GAP):.1f}" height="{part:.1f}">'
                    f"<title>{escape(name)}: {escape(title)} {values[at]:.6g} {unit}</title></rect>"
                )
    return _svg(parts, f"{unit} by {len(names)} days")


def line(names: Sequence[str], values: Sequence[float | None], unit: str) -> str:
    """A point for each name; where nothing is known there is none."""
    most = max((value for value in values if value is not None), default=0)
    step = (_WIDTH - _LEFT) / max(len(names), 1)
    parts = _axis(names, most, unit, step)
    points: list[str] = []
    for at, value in enumerate(values):
        if value is not None:
            x, y = _LEFT + step * (at + 0.5), _HEIGHT - _BOTTOM - _scaled(value, most)
            points.append(f"{x:.1f},{y:.1f}")
            told = f"<title>{escape(names[at])}: {value:.6g} {unit}</title>"
            parts.append(f'<circle class="c0" cx="{x:.1f}" cy="{y:.1f}" r="4">{told}</circle>')
    parts.insert(0, f'<polyline class="s0" points="{" ".join(points)}"/>')
    return _svg(parts, f"{unit} by {len(names)} days")


def _axis(names: Sequence[str], most: float, unit: str, step: float) -> list[str]:
    floor = _HEIGHT - _BOTTOM
    parts = [
        f'<line class="axis" x1="{_LEFT}" y1="{floor}" x2="{_WIDTH}" y2="{floor}"/>',
        f'<line class="grid" x1="{_LEFT}" y1="{_TOP}" x2="{_WIDTH}" y2="{_TOP}"/>',
        f'<text x="{_LEFT - 6}" y="{_TOP + 4}" text-anchor="end">{most:.4g} {escape(unit)}</text>',
        f'<text x="{_LEFT - 6}" y="{floor + 4}" text-anchor="end">0</text>',
    ]
    parts += [
        f'<text x="{_LEFT + step * (at + 0.5):.1f}" y="{_HEIGHT - 6}" text-anchor="middle">{escape(name)}</text>'
        for at, name in enumerate(names)
    ]
    return parts


def _scaled(value: float, most: float) -> float:
    return value / most * (_HEIGHT - _BOTTOM - _TOP) if most > 0 else 0.0


def _svg(parts: Sequence[str], told: str) -> str:
    return f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(told)}">{"".join(parts)}</svg>'
