"""`python -m tests.simulated --seeds 5000` runs so many schedules; `--seed 17` runs one and shows every step of it."""

import argparse
import sys
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from itertools import count, islice

from tests.simulated.quiet import quiet
from tests.simulated.scenarios import scenario_of
from tests.simulated.schedule import Schedule, Verdict


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def run(seed: int) -> Verdict:
    with quiet():
        return Schedule(seed, scenario_of(seed)).run()


def show(seed: int) -> int:
    with quiet():
        verdict = Schedule(seed, scenario_of(seed), trace=True).run()
    say("\n".join(verdict.trace))
    say(f"seed {seed} ({verdict.scenario}): {'; '.join(verdict.violations) or 'nothing is wrong'}")
    return 1 if verdict.violations else 0


def run_many(first: int, seeds: int, processes: int) -> int:
    faults: Counter[str] = Counter()
    failed, steps, started_s = 0, 0, time.monotonic()
    with ProcessPoolExecutor(processes) as pool:
        for verdict in pool.map(run, islice(count(first), seeds), chunksize=20):
            faults.update(verdict.faults)
            steps += verdict.steps
            if verdict.violations:
                failed += 1
                say(f"seed {verdict.seed} ({verdict.scenario}): {verdict.violations[0]}")
                say(f"  again, step by step: make simulate SEED={verdict.seed}")
    took_s = time.monotonic() - started_s
    say(f"{seeds} schedules, {steps} steps, {failed} failed; {seeds / took_s * 60:.0f} schedules a minute")
    say("faults: " + ", ".join(f"{name} {number}" for name, number in sorted(faults.items())))
    return 1 if failed else 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulated", description=__doc__)
    parser.add_argument("--seed", type=int, help="this schedule only, with every step")
    parser.add_argument("--seeds", type=int, default=2_000, help="how many schedules")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--processes", type=int, default=2)
    chosen = parser.parse_args()
    if chosen.seed is not None:
        return show(chosen.seed)
    return run_many(chosen.first, chosen.seeds, chosen.processes)


if __name__ == "__main__":
    sys.exit(main())
