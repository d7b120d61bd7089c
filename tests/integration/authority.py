"""Certificates of a test's own, as files."""

from datetime import UTC, datetime
from pathlib import Path

import trustme
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

KEY_PASSWORD = "canary-key-password"
_LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
_ENDED = datetime(2021, 1, 1, tzinfo=UTC)


class Authority:
    """Signs what the test needs, and leaves it as PEM files in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._authority = trustme.CA()
        self.file = folder / "ca.pem"
        self._authority.cert_pem.write_to_path(str(self.file))
        self.strangers_file = folder / "stranger.pem"
        trustme.CA().cert_pem.write_to_path(str(self.strangers_file))

    def server(self, name: str, host: str, *, expired: bool = False) -> Path:
        """Key and certificate in one file, as Kafka reads it."""
        leaf = self._authority.issue_cert(host, not_before=_LONG_AGO, not_after=_ENDED if expired else None)
        file = self.folder / f"{name}.pem"
        file.write_bytes(_private_key(leaf) + b"".join(each.bytes() for each in leaf.cert_chain_pems))
        return file

    def client(self, name: str) -> tuple[Path, Path]:
        """Certificate, and its key under KEY_PASSWORD."""
        leaf = self._authority.issue_cert(f"{name}.example", common_name=name)
        certificate, key = self.folder / f"{name}.crt", self.folder / f"{name}.key"
        certificate.write_bytes(b"".join(each.bytes() for each in leaf.cert_chain_pems))
        key.write_bytes(_private_key(leaf, KEY_PASSWORD))
        return certificate, key


def _private_key(leaf: trustme.LeafCert, password: str | None = None) -> bytes:
    """PKCS 8, the only form that Kafka takes."""
    locked = NoEncryption() if password is None else BestAvailableEncryption(password.encode())
    key = load_pem_private_key(leaf.private_key_pem.bytes(), None)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, locked)
