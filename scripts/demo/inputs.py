"""The demo's requests: request events as they are, or prompts turned into events."""

from collections.abc import Mapping
from pathlib import Path

from pydantic import SecretStr

from schemas.base import load_json
from scripts.cli.fault import Fault
from scripts.cli.readers import Asker, publications
from scripts.demo.exchange import Outgoing

PROMPT_ASKER = Asker(tenant_id="local", id_prefix="", model="fast")
"""Prompts have no tenant of their own; the sample configuration lets this one ask without a key."""

_KEYS = {"acme": "acme-demo-key", "globex": "globex-demo-key", "initech": "initech-demo-key"}


def demo_keys() -> Mapping[str, SecretStr]:
    """The keys of the sample configuration's tenants, which holds only their hashes. They open nothing else."""
    return {tenant: SecretStr(key) for tenant, key in _KEYS.items()}


def read_input(file: Path) -> list[Outgoing]:
    """Raises Fault, naming the line, for one that is neither an event nor a prompt."""
    try:
        lines = file.read_bytes().splitlines()
    except OSError as error:
        raise Fault(f"{file} cannot be read: {error.strerror}") from error
    found = [
        _outgoing(publication.value)
        for number, line in enumerate(lines, 1)
        for publication in publications(line, f"{file}:{number}", PROMPT_ASKER)
    ]
    if not found:
        raise Fault(f"{file} holds no request; a line is one request event or one prompt, as JSON")
    return found


def _outgoing(value: bytes) -> Outgoing:
    content = load_json(value)
    if not isinstance(content, dict):
        return Outgoing(None, None, value)
    request_id, tenant_id = content.get("request_id"), content.get("tenant_id")
    return Outgoing(
        request_id if isinstance(request_id, str) and request_id else None,
        tenant_id if isinstance(tenant_id, str) else None,
        value,
    )
