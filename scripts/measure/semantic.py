"""How well questions that mean the same are told from those that only look so: over pairs written for this project.

Prints the tables of docs/semantic-cache.md: python -m scripts.measure.semantic
"""

from collections.abc import Iterator, Sequence
from time import perf_counter_ns
from typing import Annotated

import typer

from scripts.measure.likeness import THRESHOLDS, Judged, judge, rate, read_pairs, split, store, stored
from streams.semantic.minilm import load, load_for_any

DEFAULT = 0.95


def main(
    wrong: Annotated[
        bool, typer.Option("--wrong", help="Also print the pairs that would be answered wrongly.")
    ] = False,
) -> None:
    """Print hit rates and false-hit rates by threshold and by kind, with and without the guard."""
    pairs = read_pairs()
    started_ns = perf_counter_ns()
    judged = judge(pairs, load_for_any(), load())
    each_ms = (perf_counter_ns() - started_ns) / 1_000_000 / len({text for p in pairs for text in (p.one, p.other)})
    store(judged)
    judged = stored(pairs)
    print("\n".join([*by_threshold(judged), "", *by_kind(judged, DEFAULT)]))
    print(f"\n{each_ms:.1f} ms for a question")
    if wrong:
        _, unlike = split(judged)
        for each in sorted(unlike, key=lambda one: -one.similarity):
            if each.is_hit(DEFAULT, guarded=True):
                print(f"{each.similarity:.3f}  {each.pair.kind}: {each.pair.one} | {each.pair.other}")


def by_threshold(judged: Sequence[Judged]) -> Iterator[str]:
    alike, unlike = split(judged)
    yield "| threshold | hits, guarded | hits, unguarded | false hits, guarded | false hits, unguarded |"
    yield "|---|---|---|---|---|"
    for threshold in THRESHOLDS:
        cells = [rate(some, threshold, guarded=guarded) for some in (alike, unlike) for guarded in (True, False)]
        yield f"| {threshold:.2f} | {' | '.join(f'{cell:.1%}' for cell in cells)} |"


def by_kind(judged: Sequence[Judged], threshold: float) -> Iterator[str]:
    yield f"| kind | pairs | taken for the same at {threshold:.2f}, guarded | unguarded |"
    yield "|---|---|---|---|"
    for kind in dict.fromkeys(each.pair.kind for each in judged):
        some = [each for each in judged if each.pair.kind == kind]
        cells = [rate(some, threshold, guarded=guarded) for guarded in (True, False)]
        yield f"| {kind} | {len(some)} | {' | '.join(f'{cell:.1%}' for cell in cells)} |"


if __name__ == "__main__":
    typer.run(main)
