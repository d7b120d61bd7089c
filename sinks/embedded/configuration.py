"""The data directory and the ClickHouse configuration in it: who may do what, within which limits.

ClickHouse's own defaults for an embedded engine are those of a command line tool: everything is granted, and the
database `default` shows the files of the working directory. Here they are those of a server.
"""

import fcntl
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from uuid import uuid4

ENGINE_PATH: Final = "engine"
CONFIGURATION_PATH: Final = "config/config.xml"
SCRATCH_PATH: Final = "scratch"
_USERS_PATH = "config/users.xml"
_LOCK_PATH = "lock"

# FILE, URL, REMOTE, S3 and the like are missing on purpose; so are users, named collections, backups and SHUTDOWN.
_GRANTS = (
    "SHOW, SELECT, INSERT, ALTER, CREATE DATABASE, CREATE TABLE, CREATE VIEW, CREATE TEMPORARY TABLE, CREATE FUNCTION,"
    " DROP, UNDROP TABLE, TRUNCATE, OPTIMIZE, KILL QUERY, dictGet,"
    " SYSTEM FLUSH, SYSTEM VIEWS, SYSTEM MERGES, SYSTEM TTL MERGES, SYSTEM DROP CACHE"
)

# Named one by one: `ON *` would include those that read and write files of the host.
_TABLE_ENGINES = (
    *(f"{kind}MergeTree" for kind in ("", "Replacing", "Summing", "Aggregating", "Collapsing", "VersionedCollapsing")),
    *("CoalescingMergeTree", "Memory", "Log", "TinyLog", "StripeLog", "Null", "Set", "Join", "Buffer", "Merge"),
)

# Fixed for everybody: each one changes how a statement is read after it was checked, or names a file of the host.
_FIXED_SETTINGS = (
    "dialect",
    "implicit_select",
    "allow_settings_after_format_in_insert",
    "allow_introspection_functions",
    "format_schema",
    "format_schema_source",
    "format_template_row",
    "format_template_resultset",
    "output_format_schema",
    "merge_tree_disk",
)


class DirectoryInUseError(Exception):
    """Another process serves the directory, or it holds something else; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one request may take. A client may ask for other values of the first two with settings."""

    execution_s: int = 60
    result_bytes: int = 512 << 20
    body_bytes: int = 256 << 20
    all_bodies_bytes: int = 1 << 30
    reads_at_once: int = 4
    writes_at_once: int = 2
    waiting: int = 64
    wait_s: float = 30.0


def claim_directory(path: Path, limits: Limits) -> None:
    """Own it until the process ends, make what is missing in it and write its configuration anew.

    Raises DirectoryInUseError.
    """
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Never closed: the lock lasts as long as the descriptor.
        lock = os.open(path / _LOCK_PATH, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise DirectoryInUseError(f"{path} cannot be used: {error.strerror}.") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        owner = os.pread(lock, 20, 0).decode(errors="replace").strip() or "unknown"
        os.close(lock)
        raise DirectoryInUseError(
            f"{path} is served by another process (pid {owner}). Stop it or choose another directory."
        ) from None
    os.ftruncate(lock, 0)
    os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
    _prepare(path, limits)


def _prepare(path: Path, limits: Limits) -> None:
    default_database = path / ENGINE_PATH / "metadata" / "default.sql"
    if not default_database.exists():
        if (path / ENGINE_PATH).exists():
            raise DirectoryInUseError(f"{path / ENGINE_PATH} was not made by this server. Choose another directory.")
        default_database.parent.mkdir(parents=True)
        # Without it the engine makes a `default` of its own that overlays the files of the working directory.
        default_database.write_text(f"ATTACH DATABASE _ UUID '{uuid4()}'\nENGINE = Atomic\n")
    # What a process that was killed has left there belongs to nobody.
    shutil.rmtree(path / SCRATCH_PATH, ignore_errors=True)
    for name in (SCRATCH_PATH, Path(CONFIGURATION_PATH).parent):
        (path / name).mkdir(exist_ok=True)
    (path / CONFIGURATION_PATH).write_text(_server_configuration())
    (path / _USERS_PATH).write_text(_users_configuration(limits))


def _server_configuration() -> str:
    return f"""<clickhouse>
  <display_name>millrace-embedded</display_name>
  <users_config>{_USERS_PATH}</users_config>
  <default_database></default_database>
  <database>default</database>
  <user_scripts_path>/nonexistent/</user_scripts_path>
  <mark_cache_size>{256 << 20}</mark_cache_size>
  <max_server_memory_usage_to_ram_ratio>0.8</max_server_memory_usage_to_ram_ratio>
</clickhouse>
"""


def _users_configuration(limits: Limits) -> str:
    engines = ", ".join(f"TABLE ENGINE ON {name}" for name in _TABLE_ENGINES)
    fixed = "".join(f"<{name}><const/></{name}>" for name in _FIXED_SETTINGS)
    return f"""<clickhouse>
  <profiles><default>
    <max_execution_time>{limits.execution_s}</max_execution_time>
    <max_result_bytes>{limits.result_bytes}</max_result_bytes>
    <result_overflow_mode>throw</result_overflow_mode>
    <session_timezone>UTC</session_timezone>
    <async_insert>0</async_insert>
    <implicit_select>0</implicit_select>
    <allow_introspection_functions>0</allow_introspection_functions>
    <constraints>{fixed}</constraints>
  </default></profiles>
  <quotas><default></default></quotas>
  <users><default>
    <password></password>
    <networks><ip>::/0</ip></networks>
    <profile>default</profile>
    <quota>default</quota>
    <grants>
      <query>GRANT {_GRANTS} ON *.*</query>
      <query>GRANT {engines}</query>
    </grants>
  </default></users>
</clickhouse>
"""
