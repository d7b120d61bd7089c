"""`millrace rollup`: the days whose calls have changed, added up for the views."""

from scripts.cli.again import EveryS, again
from scripts.cli.clickhouse import clickhouse
from scripts.cli.command_group import command_app
from scripts.cli.screen import AsJson, show_json
from sinks.roll_up import roll_up

app = command_app()


@app.command(epilog="Example: millrace rollup --every-s 300")
def rollup(every_s: EveryS = 0, as_json: AsJson = False) -> None:
    """Add up the days whose calls have changed, so that questions are answered fast.

    Answers are right without it: a day that was not added up since it changed is read from its rows, which takes
    longer. A day counts as changed for ten minutes after its newest row. Sums are kept longer than rows, so a day must
    be added up before its rows are deleted.
    """

    def work() -> None:
        with clickhouse() as (connection, settings):
            days = roll_up(connection, settings.database)
        if as_json:
            show_json({"days": days})
        else:
            print(f"{days} days of tenants rolled up", flush=True)

    again(every_s, work)
