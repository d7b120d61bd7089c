"""Takes off what models put around an answer: code fences, and Markdown where plain text is wanted."""

import re

from msgspec.structs import replace

from streams.answers.step import Changed, Draft, Finding, Step

_FENCES = ("```", "~~~")
_FENCE_LINE = re.compile(r"[ \t]*(`{3,}|~{3,})[^\n`]*$")
_LINE_MARKS = re.compile(r"^[ \t]{0,3}(?:#{1,6}[ \t]+|>[ \t]?)", re.MULTILINE)
_RULE = re.compile(r"^[ \t]{0,3}([-*_])(?:[ \t]?\1){2,}[ \t]*$\n?", re.MULTILINE)
_LINK = re.compile(r"!?\[([^\]\n\[]{0,500})\]\([^)\s]{0,2000}\)")
_OWN_NAMES = (
    r"(?:init|main|name|file|all|doc|dict|str|repr|call|enter|exit|iter|next|len|eq|hash|class|module|slots|version"
    r"|[gs]et(?:attr|item|state)?|del(?:attr|item|ete)?|(?:getattr|init|a?enter|a?exit)\w*|future|pycache|proto|dirname)__"
)
"""Of Python and its like, where underscores are no marks."""
_CODE = re.compile(r"`([^`\n]{1,1000})`")
_PAIRS = (
    re.compile(r"(?<![0-9A-Za-z_)\]])\*\*(?=\S)([^\n*]{1,1000})(?<=\S)\*\*(?![0-9A-Za-z_(])"),
    re.compile(rf"(?<!\w)__(?!{_OWN_NAMES})(?=\S)([^\n_]{{1,1000}})(?<=\S)__(?!\w)"),
    re.compile(r"~~(?=\S)([^\n~]{1,1000})(?<=\S)~~"),
    re.compile(r"(?<![\w*])\*(?=\S)([^\n*]{1,1000})(?<=\S)\*(?![\w*])"),
)
"""Each stops at the next of its own marks, so that no text takes more than a time proportional to its length. In front
of two stars stands no number, and no name: that is a power.
"""
_KEPT = re.compile("\x00([0-9]{1,7})\x00")


def unfenced(text: str) -> str:
    """Without the fence that is around all of it; as it is where text stands beside the fence."""
    inner = text.strip()
    fence = inner[:3]
    head, _, body = inner.partition("\n")
    if fence not in _FENCES or not body.endswith(fence) or "`" in head.lstrip("`"):
        return text
    body = body[: -len(fence)]
    return text if fence in body else body.rstrip(fence[0]).rstrip()


def plain(text: str) -> str:
    """Without Markdown's marks. List items keep theirs: they are how a list is written in plain text, too. Code keeps
    all that is between its own.
    """
    written: list[str] = []
    prose: list[str] = []
    fence = ""
    for line in text.split("\n"):
        mark = _FENCE_LINE.match(line)
        if fence:
            if mark is not None and mark[1].startswith(fence) and line.strip() == mark[1]:
                fence = ""
            else:
                written.append(line)
        elif mark is not None:
            fence = mark[1]
            written += _unmarked(prose)
            prose = []
        else:
            prose.append(line)
    return "\n".join((*written, *_unmarked(prose))).strip()


def _unmarked(prose: list[str]) -> list[str]:
    if not prose:
        return []
    text = _LINE_MARKS.sub("", _RULE.sub("", "\n".join(prose)))
    kept: list[str] = []
    if "\x00" not in text:  # else what is kept could not be told from what was there

        def keep(found: re.Match[str]) -> str:
            kept.append(found[1])
            return f"\x00{len(kept) - 1}\x00"

        text = _CODE.sub(keep, text)
    text = _LINK.sub(r"\1", text)
    for pair in _PAIRS:
        text = pair.sub(r"\1", text)
    return [_KEPT.sub(lambda found: kept[int(found[1])], text) if kept else text]


def _take(draft: Draft) -> Finding:
    output = draft.answer.output
    if output.content is None:
        return None
    if draft.rules.strip == "fences" or draft.wants_json:  # marks inside JSON belong to its strings
        text, note = unfenced(output.content), "unfenced"
    else:
        text, note = plain(output.content), "plain"
    return None if text == output.content else Changed(replace(output, content=text), note)


STEP = Step("strip", lambda draft: draft.rules.strip != "off", _take)
