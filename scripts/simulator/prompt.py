"""A request's prompt as the model reads it: blocks in order, each with its tokens, and where a cache may end."""

import re
from dataclasses import dataclass

import orjson

from scripts.simulator.prices import Encoding
from scripts.simulator.tokens import count

# OpenAI documents three tokens of framing a message, the role, and three that open the answer. Claude's framing is
# not published; the same numbers keep hand-computed bills simple.
MESSAGE_TOKENS = 3
ROLE_TOKENS = 1
ANSWER_TOKENS = 3

# A 1024 x 1024 picture in high and low detail (OpenAI), and the largest Claude reads without scaling it down. The
# pictures themselves are not opened.
IMAGE_TOKENS = 765
SMALL_IMAGE_TOKENS = 85
CLAUDE_IMAGE_TOKENS = 1_590

_COMMAND = re.compile(r"\[\[(\w+):((?:(?!\[\[|\]\]).)*)\]\]", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Block:
    """`framing` are tokens beside those of the text; `mark` is what else tells this block from another."""

    text: str
    framing: int = 0
    mark: str = ""
    cache_ttl_s: int = 0


@dataclass(frozen=True, slots=True)
class Prompt:
    blocks: tuple[Block, ...]
    counts: tuple[int, ...]

    @property
    def total(self) -> int:
        return sum(self.counts)


def measured(blocks: list[Block], encoding: Encoding) -> Prompt:
    return Prompt(tuple(blocks), tuple(block.framing + count(encoding, block.text) for block in blocks))


def tools_block(definition: object, cache_ttl_s: int = 0) -> Block:
    """How a provider shows a tool to its model is not published; its definition as JSON is close in size."""
    return Block(orjson.dumps(definition).decode(), mark="tool", cache_ttl_s=cache_ttl_s)


def commands(text: str) -> list[tuple[str, str]]:
    """The `[[name:value]]` commands of a prompt in order; they steer the simulator and are part of the prompt."""
    return _COMMAND.findall(text) if "[[" in text else []
