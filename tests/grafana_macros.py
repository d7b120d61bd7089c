"""What the ClickHouse plugin of Grafana makes of its macros, for as long as a panel's SQL runs in a test instead."""

import re
from datetime import UTC, datetime

INTERVAL_S = 60
"""Grafana chooses it by the width of a panel."""


def expanded(sql: str, *, from_s: int, to_s: int) -> str:
    """As the plugin would send it, for this time range."""
    first, last = (datetime.fromtimestamp(at, UTC).date() for at in (from_s, to_s))
    meanings = {
        r"\$__timeFilter\((\w+)\)": rf"\1 >= toDateTime({from_s}) AND \1 <= toDateTime({to_s})",
        r"\$__dateFilter\((\w+)\)": rf"\1 >= toDate('{first}') AND \1 <= toDate('{last}')",
        r"\$__timeInterval\((\w+)\)": rf"toStartOfInterval(toDateTime(\1), INTERVAL {INTERVAL_S} second)",
        r"\$__fromTime\b": f"toDateTime({from_s})",
        r"\$__toTime\b": f"toDateTime({to_s})",
    }
    for macro, meaning in meanings.items():
        sql = re.sub(macro, meaning, sql)
    if "$" in sql:
        raise ValueError(f"an unknown macro is left: {sql}")
    return sql
