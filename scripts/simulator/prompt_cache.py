"""The providers' prompt caches: which part of a prompt is charged at the cached rate because it was seen before.

OpenAI caches every long prompt by itself, in steps of 128 tokens from 1024 on. Anthropic caches up to the blocks a
request marks and charges for the writing. Entries live as long as the provider says and are forgotten oldest first.
"""

from array import array
from collections import OrderedDict
from collections.abc import Callable
from hashlib import blake2b
from itertools import accumulate
from zlib import crc32

from scripts.simulator.prices import Encoding
from scripts.simulator.prompt import Prompt
from scripts.simulator.tokens import ids
from scripts.simulator.usage import Usage

SHORTEST_PREFIX = 1_024
STEP = 128
HOUR_S = 3_600
FIVE_MINUTES_S = 300

# Anthropic looks for an earlier entry at most this many blocks before a marked one.
_LOOK_BACK = 20
# Two hundred thousand entries are about 30 MB; a longer memory than that no test needs.
_MOST_ENTRIES = 200_000


class PromptCache:
    """One per simulator. `clock` returns seconds that only go forward."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._entries: OrderedDict[bytes, tuple[float, int]] = OrderedDict()

    def automatic(self, owner: str, prompt: Prompt, encoding: Encoding) -> Usage:
        """OpenAI's rule. The prompt is remembered for the owner's next request."""
        total = prompt.total
        if total < SHORTEST_PREFIX:
            return Usage(input=total)
        read = 0
        for length, key in _steps(owner, prompt, encoding):
            if self._touch(key):
                read = length
            else:
                self._remember(key, FIVE_MINUTES_S)
        return Usage(input=total - read, cache_read=read)

    def marked(self, owner: str, prompt: Prompt) -> Usage:
        """Anthropic's rule: up to the marked blocks, read what is known and write what is not."""
        total = prompt.total
        ends = list(accumulate(prompt.counts))
        marks = [
            (index, block.cache_ttl_s)
            for index, block in enumerate(prompt.blocks)
            if block.cache_ttl_s and ends[index] >= SHORTEST_PREFIX
        ]
        if not marks:
            return Usage(input=total)
        keys = _chain(owner, prompt)
        read = self._longest_known([index for index, _ in marks], ends, keys)
        written = {HOUR_S: 0, FIVE_MINUTES_S: 0}
        done = read
        for index, ttl_s in marks:
            written[ttl_s] += max(0, ends[index] - done)
            done = max(done, ends[index])
            self._remember(keys[index], ttl_s)
        return Usage(
            input=total - done,
            cache_read=read,
            cache_write_5m=written[FIVE_MINUTES_S],
            cache_write_1h=written[HOUR_S],
        )

    def clear(self) -> None:
        self._entries.clear()

    def _longest_known(self, marks: list[int], ends: list[int], keys: list[bytes]) -> int:
        for mark in reversed(marks):
            for index in range(mark, max(-1, mark - _LOOK_BACK), -1):
                if ends[index] >= SHORTEST_PREFIX and self._touch(keys[index]):
                    return ends[index]
        return 0

    def _touch(self, key: bytes) -> bool:
        """Whether the entry is alive; reading it renews it, as it does with both providers."""
        entry = self._entries.get(key)
        if entry is None or entry[0] < self._clock():
            return False
        self._remember(key, entry[1])
        return True

    def _remember(self, key: bytes, ttl_s: int) -> None:
        self._entries[key] = (self._clock() + ttl_s, ttl_s)
        self._entries.move_to_end(key)
        if len(self._entries) > _MOST_ENTRIES:
            self._entries.popitem(last=False)


def _steps(owner: str, prompt: Prompt, encoding: Encoding) -> list[tuple[int, bytes]]:
    """Every prefix OpenAI could serve from its cache: its length in tokens and a key for all that is in it."""
    row = array("Q")
    for block in prompt.blocks:
        # Framing has no ids of its own; the block's mark stands in, so that a role or a picture tells prefixes apart.
        row.extend([crc32(block.mark.encode())] * block.framing)
        row.extend(ids(encoding, block.text))
    steps: list[tuple[int, bytes]] = []
    key = owner.encode()
    for end in range(STEP, len(row) + 1, STEP):
        key = blake2b(key + row[end - STEP : end].tobytes(), digest_size=16).digest()
        if end >= SHORTEST_PREFIX:
            steps.append((end, key))
    return steps


def _chain(owner: str, prompt: Prompt) -> list[bytes]:
    """A key for everything up to and including each block."""
    keys: list[bytes] = []
    key = owner.encode()
    for block in prompt.blocks:
        key = blake2b(key + f"{block.mark}\0{block.text}".encode(), digest_size=16).digest()
        keys.append(key)
    return keys
