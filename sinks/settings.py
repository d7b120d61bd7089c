"""Where ClickHouse is and how the sink speaks to it. Read once, from `MILLRACE_CLICKHOUSE_*`."""

from typing import Annotated

from pydantic import Field, FilePath, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

Identifier = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,63}$")]
"""A name that needs no quoting in SQL: it is the only setting that becomes part of a statement's text."""


class ClickHouseSettings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="MILLRACE_CLICKHOUSE_", frozen=True, extra="ignore")

    host: str = Field(default="127.0.0.1", description="host name or address of ClickHouse's HTTP interface")
    port: Annotated[int, Field(ge=1, le=65_535)] = Field(
        default=8123, description="port of the HTTP interface; usually 8443 where `secure` is on"
    )
    database: Identifier = Field(default="millrace", description="database that holds the call rows and the views")
    user: str = Field(default="default", description="user that may insert into `call_rows`")
    password: SecretStr = Field(default=SecretStr(""), description="password of that user")
    secure: bool = Field(default=False, description="speak HTTPS, and check the server's certificate")
    ca_file: FilePath | None = Field(
        default=None,
        description="PEM file with the authority that signed the server's certificate; default: the system's",
    )
    connect_timeout_s: Annotated[int, Field(ge=1)] = Field(
        default=5, description="seconds to wait for a connection before ClickHouse counts as unavailable"
    )
    send_timeout_s: Annotated[int, Field(ge=1)] = Field(
        default=60, description="seconds to wait for an answer to a statement or an insert before it is tried again"
    )
    rows_per_insert: Annotated[int, Field(ge=1, le=1_000_000)] = Field(
        default=20_000, description="most rows sent in one insert"
    )
    retention_days: Annotated[int, Field(ge=1, le=36_500)] = Field(
        default=400, description="days after which call rows and adjustments are deleted; applied by the migrations"
    )
    sums_retention_days: Annotated[int, Field(ge=1, le=36_500)] = Field(
        default=1_830, description="days after which what `millrace rollup` has added up is deleted"
    )
