"""`python -m schemas.export` rewrites the published contracts in schemas/exported/ from the models."""

import sys
from pathlib import Path
from typing import Any

import orjson
import yaml

from schemas.asyncapi import asyncapi
from schemas.json_schema import contracts

EXPORTED = Path(__file__).parent / "exported"
COMMAND = "python -m schemas.export"


class _PlainDumper(yaml.SafeDumper):
    """Repeats what occurs twice: anchors are for machines, and this file is read by people."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002  (pyyaml's signature)
        return True


def _yaml(document: dict[str, Any]) -> bytes:
    body = yaml.dump(document, Dumper=_PlainDumper, sort_keys=False, allow_unicode=True, width=110)
    return f"# Written by `{COMMAND}`: change the models and run it again.\n{body}".encode()


def exported() -> dict[str, bytes]:
    """File name → content of everything that belongs in schemas/exported/."""
    files = {
        f"{name}.schema.json": orjson.dumps(contract.schema, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
        for name, contract in contracts().items()
    }
    return files | {"asyncapi.yaml": _yaml(asyncapi())}


def outdated(directory: Path) -> list[str]:
    """Names of files that are missing from `directory`, differ from the models, or describe no event any more."""
    wanted = exported()
    present = {path.name: path.read_bytes() for path in directory.iterdir()} if directory.is_dir() else {}
    return sorted(name for name in wanted.keys() | present.keys() if wanted.get(name) != present.get(name))


def write(directory: Path) -> list[str]:
    """Makes `directory` hold the exported files and nothing else; returns the names of those that changed."""
    directory.mkdir(exist_ok=True)
    wanted = exported()
    changed = outdated(directory)
    for name in changed:
        if name in wanted:
            (directory / name).write_bytes(wanted[name])
        else:
            (directory / name).unlink()
    return changed


if __name__ == "__main__":
    names = write(EXPORTED)
    sys.stdout.write(f"{len(names)} of the published contracts changed{': ' if names else ''}{', '.join(names)}\n")
