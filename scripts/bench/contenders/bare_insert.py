"""`python -m scripts.bench.contenders.bare_insert`: the driver's own insert of rows that are there already, as values
by column: the least that it costs to bring them into ClickHouse.
"""

import gc
import sys
import time
from pathlib import Path
from typing import Annotated

import clickhouse_connect
import typer

from schemas.base import dump_json
from schemas.call import CallRow
from scripts.bench.call_rows import call_rows
from sinks.columns import COLUMNS, by_column
from sinks.native import NAMES
from streams.clock import now_ms

_TYPES = [column.type for column in COLUMNS]
_SETTINGS = {"async_insert": 0, "insert_deduplicate": 0, "wait_end_of_query": 1}


def insert(
    port: Annotated[int, typer.Option(help="ClickHouse's, on this machine.")],
    database: Annotated[str, typer.Option(help="Where the table is.")],
    table: Annotated[str, typer.Option(help="With the columns of call_rows.")],
    first: Annotated[int, typer.Option(help="Number of the first call.")],
    calls: Annotated[int, typer.Option(help="How many calls, of two rows each.")],
    batch_rows: Annotated[int, typer.Option(help="Rows of one insert.")],
    output: Annotated[Path, typer.Option(help="Where the figures go, as JSON.")],
) -> None:
    """Insert all rows, and write how long that took."""
    rows = [CallRow.decode(value) for value in call_rows(first, calls, now_ms())]
    values = list(zip(*(c.stored(found) for c, found in zip(COLUMNS, by_column(rows), strict=True)), strict=True))
    client = clickhouse_connect.get_client(host="127.0.0.1", port=port, database=database)
    gc.collect()
    gc.freeze()
    wall_s, cpu_s = time.monotonic(), time.process_time()
    for start in range(0, len(values), batch_rows):
        some = values[start : start + batch_rows]
        client.insert(table, some, column_names=NAMES, column_type_names=_TYPES, settings=_SETTINGS)
    wall_s, cpu_s = time.monotonic() - wall_s, time.process_time() - cpu_s
    output.write_bytes(dump_json({"rows": len(values), "wall_s": wall_s, "cpu_s": cpu_s}))


if __name__ == "__main__":
    sys.exit(typer.run(insert))
