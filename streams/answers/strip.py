"""Takes off what models put around an answer: code fences, and Markdown where plain text is wanted."""

import re

from msgspec.structs import replace

from streams.answers.step import Changed, Draft, Finding, Step

_FENCES = ("```", "~~~")
_FENCE_LINE = re.compile(r"^[ \t]*(?:`{3,}|~{3,})[^\n`]*\n?", re.MULTILINE)
_LINE_MARKS = re.compile(r"^[ \t]{0,3}(?:#{1,6}[ \t]+|>[ \t]?)", re.MULTILINE)
_RULE = re.compile(r"^[ \t]{0,3}([-*_])(?:[ \t]?\1){2,}[ \t]*$\n?", re.MULTILINE)
_LINK = re.compile(r"!?\[([^\]\n\[]{0,500})\]\([^)\s]{0,2000}\)")
_PAIRS = (
    re.compile(r"`([^`\n]{1,1000})`"),
    re.compile(r"\*\*(?=\S)([^\n*]{1,1000})(?<=\S)\*\*"),
    re.compile(r"(?<!\w)__(?=\S)([^\n_]{1,1000})(?<=\S)__(?!\w)"),
    re.compile(r"~~(?=\S)([^\n~]{1,1000})(?<=\S)~~"),
    re.compile(r"(?<![\w*])\*(?=\S)([^\n*]{1,1000})(?<=\S)\*(?![\w*])"),
)
"""Each stops at the next of its own marks, so that no text takes more than a time proportional to its length."""


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
    """Without Markdown's marks. List items keep theirs: they are how a list is written in plain text, too."""
    text = _FENCE_LINE.sub("", text)
    text = _LINE_MARKS.sub("", _RULE.sub("", text))
    text = _LINK.sub(r"\1", text)
    for pair in _PAIRS:
        text = pair.sub(r"\1", text)
    return text.strip()


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
