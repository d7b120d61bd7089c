"""Texts that are JSON: what its strings, names and numbers say is changed, and JSON it stays."""

import re
from collections import defaultdict

from schemas.base import dump_json, load_json
from streams.content.leaves import Change

_TOKEN = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"|[{}\[\],:]|[^\s{}\[\],:"]+')
"""A possessive repetition is never gone back into, so nothing is remembered of it: that was 125 bytes a character."""
_BEGINS_JSON = frozenset('{["')


def in_text(text: str, change: Change) -> str:
    """Of a text that may be JSON, such as what a tool gave back."""
    return in_json(text, change) if text.lstrip()[:1] in _BEGINS_JSON else change(text)


def in_json(text: str, change: Change) -> str:
    """A number that is changed becomes a string. What is no JSON is text. As it was, to the byte, where nothing is
    changed; else what is not changed is as it was, without the white space around it.
    """
    try:
        load_json(text)
    except ValueError:
        return change(text)
    tokens = _TOKEN.findall(text)
    written = _changed(tokens, change)
    return text if written is None else "".join(written)


def _changed(tokens: list[str], change: Change) -> list[str] | None:
    """Names that come to look alike are numbered, so that no two become one."""
    written = tokens.copy()
    objects: list[int] = []
    names: defaultdict[int, set[str]] = defaultdict(set)
    renamed: list[tuple[int, int, str]] = []
    for at, token in enumerate(tokens):
        match token[0]:
            case "{" | "[":
                objects.append(at)
            case "}" | "]":
                objects.pop()
            case '"':
                said = str(load_json(token))
                changed = change(said)
                if tokens[at + 1 : at + 2] != [":"]:
                    written[at] = token if changed == said else dump_json(changed).decode()
                elif changed == said:
                    names[objects[-1]].add(said)
                else:
                    renamed.append((at, objects[-1], changed))
            case "-" | "0" | "1" | "2" | "3" | "4" | "5" | "6" | "7" | "8" | "9":
                changed = change(token)
                written[at] = token if changed == token else dump_json(changed).decode()
            case _:
                pass
    counts: defaultdict[tuple[int, str], int] = defaultdict(int)
    for at, within, changed in renamed:
        written[at] = dump_json(_free(changed, within, names[within], counts)).decode()
    return None if written == tokens else written


def _free(name: str, within: int, taken: set[str], counts: defaultdict[tuple[int, str], int]) -> str:
    free = name
    while free in taken:
        counts[within, name] += 1
        free = f"{name} ({counts[within, name] + 1})"
    taken.add(free)
    return free
