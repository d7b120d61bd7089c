"""The command line on a running stack."""

import json

import pytest

from scripts.local.stack import LocalStack
from tests.integration.millrace import Millrace

pytestmark = pytest.mark.integration


@pytest.fixture
def at_home(stack: LocalStack) -> Millrace:
    return Millrace(stack.environment)


def test_the_doctor_finds_nothing_wrong(at_home: Millrace) -> None:
    ended = at_home("doctor", "--json")
    assert [each for each in ended.json if not each["ok"]] == []
    assert ended.status == 0


def test_costs_and_tables_are_read_from_clickhouse(at_home: Millrace) -> None:
    costs = at_home("costs", "--by", "model", "--json")
    assert costs.status == 0
    assert json.loads(costs.out)["by"] == "model"
    assert set(at_home("tables", "show", "--json").json.values()) == {"applied"}
    assert at_home("tables", "apply").out.startswith("0 applied, ")
