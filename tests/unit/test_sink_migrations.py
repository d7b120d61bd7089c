"""What is applied to ClickHouse is applied in order, once, and never changed afterwards."""

import re

import pytest

from sinks.migrate import Migration, MigrationChanged, migrations, pending

FIRST, SECOND = Migration("001_a.sql", "CREATE A;\n"), Migration("002_b.sql", "CREATE B;\n")


def test_the_files_are_numbered_without_gaps_and_read_in_order() -> None:
    numbers = [int(migration.name[:3]) for migration in migrations()]
    assert numbers == list(range(1, len(numbers) + 1))


def test_the_first_file_creates_the_database() -> None:
    assert migrations()[0].statements("other")[0].endswith("CREATE DATABASE IF NOT EXISTS other")


def test_every_statement_can_be_repeated() -> None:
    for migration in migrations():
        for statement in migration.statements("millrace"):
            safely = "MODIFY (SETTING|COLUMN)|ADD (COLUMN|PROJECTION) IF NOT EXISTS|MATERIALIZE PROJECTION"
            repeatable = rf"^(CREATE ((\w+ )+IF NOT EXISTS|OR REPLACE VIEW)|ALTER TABLE \S+\s+({safely}))\s"
            assert re.search(repeatable, statement, re.MULTILINE), statement


def test_nothing_but_the_database_is_filled_in() -> None:
    for migration in migrations():
        for statement in migration.statements("somewhere_else"):
            assert "{" not in statement
            assert "millrace" not in statement


def test_what_was_applied_is_not_applied_again() -> None:
    assert pending([FIRST, SECOND], {}) == (FIRST, SECOND)
    assert pending([FIRST, SECOND], {FIRST.name: FIRST.checksum}) == (SECOND,)
    assert pending([FIRST, SECOND], {one.name: one.checksum for one in (FIRST, SECOND)}) == ()


def test_a_file_that_was_edited_after_it_was_applied_is_an_error_that_says_what_to_do() -> None:
    with pytest.raises(MigrationChanged, match=r"002_b\.sql was changed .* next number"):
        pending([FIRST, SECOND], {FIRST.name: FIRST.checksum, SECOND.name: "another"})


def test_what_a_newer_release_applied_is_left_alone() -> None:
    assert pending([FIRST], {FIRST.name: FIRST.checksum, "099_future.sql": "?"}) == ()


def test_statements_end_with_a_semicolon_at_the_end_of_a_line() -> None:
    migration = Migration("001_a.sql", "-- no; not here\nCREATE {database}.a;\n\nCREATE {database}.b AS ';';\n")
    assert migration.statements("d") == ("-- no; not here\nCREATE d.a", "CREATE d.b AS ';'")
