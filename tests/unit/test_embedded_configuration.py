"""The data directory and what is written into it."""

from pathlib import Path

import pytest

from sinks.embedded.configuration import CONFIGURATION_PATH, DirectoryInUseError, Limits, claim_directory


def test_a_new_directory_gets_a_database_and_a_configuration(tmp_path: Path) -> None:
    claim_directory(tmp_path / "deep" / "data", Limits(execution_s=7))
    data = tmp_path / "deep" / "data"
    assert (data / "engine" / "metadata" / "default.sql").read_text().startswith("ATTACH DATABASE _ UUID")
    assert "<max_execution_time>7</max_execution_time>" in (data / "config" / "users.xml").read_text()
    assert "<default_database></default_database>" in (data / CONFIGURATION_PATH).read_text()


def test_what_reaches_the_host_is_not_granted(tmp_path: Path) -> None:
    claim_directory(tmp_path, Limits())
    granted = (tmp_path / "config" / "users.xml").read_text()
    assert "SELECT" in granted
    for privilege in ("FILE", "URL", "REMOTE", "S3", "MYSQL", "SOURCES", "BACKUP", "CREATE USER", "ALL", "SHUTDOWN"):
        assert f" {privilege}," not in granted
        assert f" {privilege} " not in granted


def test_a_directory_belongs_to_one_claimant(tmp_path: Path) -> None:
    claim_directory(tmp_path, Limits())
    with pytest.raises(DirectoryInUseError, match="is served by another process"):
        claim_directory(tmp_path, Limits())


def test_the_database_of_a_directory_is_kept(tmp_path: Path) -> None:
    made = tmp_path / "engine" / "metadata" / "default.sql"
    made.parent.mkdir(parents=True)
    made.write_text("ATTACH DATABASE _ UUID 'x'\nENGINE = Atomic\n")
    claim_directory(tmp_path, Limits())
    assert "UUID 'x'" in made.read_text()


def test_an_engine_directory_of_somebody_else_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "engine").mkdir()
    with pytest.raises(DirectoryInUseError, match="not made by this server"):
        claim_directory(tmp_path, Limits())
    assert not list((tmp_path / "engine").iterdir())


def test_a_path_that_cannot_be_a_directory_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DirectoryInUseError, match="cannot be used"):
        claim_directory(tmp_path / "file", Limits())
