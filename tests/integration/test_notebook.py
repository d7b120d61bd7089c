"""The notebook of docs/ runs from top to bottom against a real engine. Without marimo: a stand-in calls its cells."""

import inspect
import runpy
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from scripts.report.sample_week import sample_week
from sinks.clickhouse import ClickHouseSink
from tests.clickhouse_engine import new_database, running_engine

pytestmark = pytest.mark.integration

NOTEBOOK = Path(__file__).parents[2] / "docs" / "notebook.py"


class Cells(list[Callable[..., Any]]):
    """marimo's App, as far as a notebook's text uses it: each cell is called with what the others return."""

    def cell(self, function: Callable[..., Any]) -> Callable[..., Any]:
        self.append(function)
        return function

    def run(self) -> dict[str, Any]:
        known: dict[str, Any] = {}
        for cell in self:
            source = inspect.getsource(cell)
            returned = cell(**{name: known[name] for name in inspect.signature(cell).parameters})
            names = source.rpartition("return")[2].strip(" ()\n").replace("\n", " ")
            known |= dict(zip([name.strip() for name in names.split(",") if name.strip()], returned, strict=True))
        return known


def widget(*_: Any, value: Any = None, **__: Any) -> Any:
    return SimpleNamespace(value=value)


def marimo(cells: Cells) -> ModuleType:
    module = ModuleType("marimo")

    def begun(**_: Any) -> Cells:
        return cells

    said: dict[str, Any] = {
        "App": begun,
        "md": widget,
        "Html": widget,
        "vstack": widget,
        "hstack": widget,
        "ui": SimpleNamespace(slider=widget, dropdown=widget, text=widget, table=widget),
    }
    vars(module).update(said)
    return module


def test_the_notebook_runs_from_top_to_bottom(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cells = Cells()
    monkeypatch.setitem(sys.modules, "marimo", marimo(cells))
    runpy.run_path(str(NOTEBOOK))
    with running_engine(tmp_path / "clickhouse") as engine:
        settings = new_database(engine)
        with closing(ClickHouseSink(settings)) as sink:
            sink.write(list(sample_week()))
        monkeypatch.setenv("MILLRACE_CLICKHOUSE_HOST", settings.host)
        monkeypatch.setenv("MILLRACE_CLICKHOUSE_PORT", str(settings.port))
        monkeypatch.setenv("MILLRACE_CLICKHOUSE_DATABASE", settings.database)
        known = cells.run()
    assert known["answer"]
    assert known["by"] == "tenant"
    assert "<svg" in known["plots"]
