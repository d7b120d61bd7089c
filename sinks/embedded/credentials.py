"""Who asks: a user and a password from any of the four places ClickHouse looks at, compared in constant time."""

import hmac
from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import SecretStr

from sinks.embedded.errors import ClickHouseError

_NO_PASSWORD = SecretStr("")


@dataclass(frozen=True, slots=True)
class Credentials:
    """A name and its password. The default is the user of a fresh ClickHouse server."""

    user: str = "default"
    password: SecretStr = _NO_PASSWORD

    def admits(self, other: "Credentials") -> bool:
        same_user = hmac.compare_digest(self.user.encode(), other.user.encode(errors="surrogateescape"))
        mine, theirs = self.password.get_secret_value(), other.password.get_secret_value()
        same_password = hmac.compare_digest(mine.encode(), theirs.encode(errors="surrogateescape"))
        return same_user and same_password


def read_credentials(headers: Mapping[str, str], parameters: Mapping[str, str]) -> Credentials:
    """`headers` has names in lower case. Raises ClickHouseError when they cannot be read."""
    authorization = headers.get("authorization")
    if authorization is not None:
        return _basic(authorization)
    user = headers.get("x-clickhouse-user", parameters.get("user", ""))
    password = headers.get("x-clickhouse-key", parameters.get("password", ""))
    return Credentials(user or "default", SecretStr(password))


def refusal(user: str) -> ClickHouseError:
    return ClickHouseError(
        516,
        "AUTHENTICATION_FAILED",
        f"{user}: Authentication failed: password is incorrect, or there is no user with such name.",
    )


def _basic(authorization: str) -> Credentials:
    scheme, _, encoded = authorization.partition(" ")
    if scheme.lower() != "basic":
        raise ClickHouseError(
            516,
            "AUTHENTICATION_FAILED",
            f"Invalid authentication: '{scheme}' HTTP Authorization scheme is not supported.",
        )
    try:
        user, _, password = b64decode(encoded, validate=True).decode().partition(":")
    except ValueError:  # not ASCII, not base64, or not UTF-8 below it
        raise ClickHouseError(
            516, "AUTHENTICATION_FAILED", "Invalid authentication: the Authorization header is not valid base64."
        ) from None
    return Credentials(user or "default", SecretStr(password))
