"""Which tokens count as read from, written to, or missed by a provider's prompt cache."""

import pytest

from scripts.simulator.prompt import Block, Prompt, measured
from scripts.simulator.prompt_cache import PromptCache
from scripts.simulator.usage import Usage

# One token a word in both vocabularies, the first one included.
LONG = "word" + " word" * 2_999


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def prompt(*blocks: Block) -> Prompt:
    return measured(list(blocks), "o200k_base")


def automatic(cache: PromptCache, *texts: str, owner: str = "key gpt-4o") -> Usage:
    return cache.automatic(owner, prompt(*map(Block, texts)), "o200k_base")


def test_a_short_prompt_is_never_cached() -> None:
    cache = PromptCache(Clock())
    short = "word" + " word" * 1_022
    assert automatic(cache, short) == automatic(cache, short) == Usage(input=1_023)


def test_a_repeated_long_prompt_is_read_from_the_cache_in_steps_of_128() -> None:
    cache = PromptCache(Clock())
    assert automatic(cache, LONG, "?") == Usage(input=3_001)
    assert automatic(cache, LONG, "?") == Usage(input=57, cache_read=2_944)


def test_only_the_common_prefix_is_read() -> None:
    cache = PromptCache(Clock())
    automatic(cache, LONG)
    assert automatic(cache, "word" + " word" * 1_199, " other" * 400) == Usage(input=448, cache_read=1_152)
    assert automatic(cache, "other", LONG) == Usage(input=3_001)


def test_prefixes_that_differ_in_a_role_or_picture_only_are_different() -> None:
    cache = PromptCache(Clock())
    cache.automatic("owner", prompt(Block("", 4, "user"), Block(LONG)), "o200k_base")
    assert cache.automatic("owner", prompt(Block("", 4, "system"), Block(LONG)), "o200k_base") == Usage(input=3_004)


def test_keys_do_not_share_a_cache() -> None:
    cache = PromptCache(Clock())
    automatic(cache, LONG, owner="one gpt-4o")
    assert automatic(cache, LONG, owner="two gpt-4o").cache_read == 0


def test_an_entry_lives_five_minutes_from_its_last_use() -> None:
    clock = Clock()
    cache = PromptCache(clock)
    automatic(cache, LONG)
    for clock.now_s in (299, 598):
        assert automatic(cache, LONG).cache_read == 2_944
    clock.now_s = 899
    assert automatic(cache, LONG).cache_read == 0


def test_nothing_is_cached_for_claude_without_a_mark() -> None:
    cache = PromptCache(Clock())
    unmarked = prompt(Block(LONG), Block("hi"))
    assert cache.marked("owner", unmarked) == cache.marked("owner", unmarked) == Usage(input=3_001)


def test_a_marked_prefix_is_written_once_and_read_after() -> None:
    cache = PromptCache(Clock())
    marked = prompt(Block(LONG, cache_ttl_s=300), Block("hi"))
    assert cache.marked("owner", marked) == Usage(input=1, cache_write_5m=3_000)
    assert cache.marked("owner", marked) == Usage(input=1, cache_read=3_000)


def test_a_longer_conversation_reads_the_old_prefix_and_writes_the_rest() -> None:
    cache = PromptCache(Clock())
    cache.marked("owner", prompt(Block(LONG, cache_ttl_s=300), Block("hi")))
    longer = prompt(Block(LONG), Block("hi"), Block(" word" * 100, cache_ttl_s=300), Block("again"))
    assert cache.marked("owner", longer) == Usage(input=1, cache_read=3_000, cache_write_5m=101)


def test_each_part_is_written_for_as_long_as_its_mark_says() -> None:
    cache = PromptCache(Clock())
    marked = prompt(Block(LONG, cache_ttl_s=3_600), Block(" word" * 50, cache_ttl_s=300), Block("hi"))
    assert cache.marked("owner", marked) == Usage(input=1, cache_write_1h=3_000, cache_write_5m=50)


@pytest.mark.parametrize(("ttl_s", "read_after_ten_minutes"), [(300, 0), (3_600, 3_000)])
def test_an_entry_lives_as_long_as_it_was_written_for(ttl_s: int, read_after_ten_minutes: int) -> None:
    clock = Clock()
    cache = PromptCache(clock)
    marked = prompt(Block(LONG, cache_ttl_s=ttl_s), Block("hi"))
    cache.marked("owner", marked)
    clock.now_s = 600
    assert cache.marked("owner", marked).cache_read == read_after_ten_minutes


def test_a_marked_prefix_that_is_too_short_is_charged_as_plain_input() -> None:
    cache = PromptCache(Clock())
    assert cache.marked("owner", prompt(Block("hello", cache_ttl_s=300), Block("hi"))) == Usage(input=2)
