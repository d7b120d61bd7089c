"""Who may ask."""

from base64 import b64encode

import pytest
from pydantic import SecretStr

from sinks.embedded.credentials import Credentials, read_credentials, refusal
from sinks.embedded.errors import ClickHouseError


def basic(text: str) -> dict[str, str]:
    return {"authorization": "Basic " + b64encode(text.encode()).decode()}


@pytest.mark.parametrize(
    ("headers", "parameters"),
    [
        ({"x-clickhouse-user": "anna", "x-clickhouse-key": "s3cret:x"}, {}),
        ({}, {"user": "anna", "password": "s3cret:x"}),
        (basic("anna:s3cret:x"), {}),
    ],
)
def test_a_name_and_a_password_are_found_wherever_clickhouse_takes_them(
    headers: dict[str, str], parameters: dict[str, str]
) -> None:
    assert Credentials("anna", SecretStr("s3cret:x")).admits(read_credentials(headers, parameters))


def test_nobody_in_particular_is_the_user_of_a_fresh_server() -> None:
    assert Credentials().admits(read_credentials({}, {}))
    assert Credentials().admits(read_credentials(basic("default"), {}))


@pytest.mark.parametrize("given", [("anna", "wrong"), ("bert", "s3cret"), ("anna", ""), ("anna", "s3cret\udcff")])
def test_a_wrong_name_or_password_is_not_admitted(given: tuple[str, str]) -> None:
    assert not Credentials("anna", SecretStr("s3cret")).admits(Credentials(given[0], SecretStr(given[1])))


@pytest.mark.parametrize("authorization", ["Bearer x", "Basic %%%", "Basic /w==", ""])
def test_credentials_that_cannot_be_read_are_a_failed_authentication(authorization: str) -> None:
    with pytest.raises(ClickHouseError) as refused:
        read_credentials({"authorization": authorization}, {})
    assert refused.value.name == "AUTHENTICATION_FAILED"


def test_a_refusal_names_the_user_and_no_password() -> None:
    assert refusal("anna").code == 516
    assert refusal("anna").message.startswith("anna: Authentication failed")
    assert "s3cret" not in repr(Credentials("anna", SecretStr("s3cret")))
