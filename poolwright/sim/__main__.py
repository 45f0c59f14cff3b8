"""`python -m poolwright.sim --seed N [--steps M] [--count K] [--workers W]`: play stories; a violation ends it."""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial

from poolwright.sim.story import STEPS, Outcome, play


def main(arguments: list[str]) -> int:
    """Play `count` seeds from `seed` on. Returns 1 on a violation, with its seed and story printed."""
    parser = argparse.ArgumentParser(prog="poolwright.sim", description=__doc__)
    parser.add_argument("--seed", type=int, default=time.time_ns() % 1_000_000, help="the first seed")
    parser.add_argument("--steps", type=int, default=STEPS, help="commands in the safety phase")
    parser.add_argument("--count", type=int, default=1, help="how many seeds")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes, for many seeds")
    parser.add_argument("--keep-going", action="store_true", help="play all seeds, also after a violation")
    options = parser.parse_args(arguments)
    seeds = range(options.seed, options.seed + options.count)
    violations = 0
    for seed, outcome in zip(seeds, _outcomes(seeds, options.steps, options.workers), strict=False):
        if isinstance(outcome, str):
            violations += 1
            print(outcome, flush=True)
            if not options.keep_going:
                break
        else:
            print(
                f"seed {seed}: {outcome.events} events in {outcome.virtual_s:.0f} virtual seconds, {outcome.restarts} "
                f"restarts of the service, {outcome.completed} tasks completed; all invariants held",
                flush=True,
            )
    return 1 if violations else 0


def _outcomes(seeds: Sequence[int], steps: int, workers: int) -> Iterator[Outcome | str]:
    """In order of the seeds, each story in one of the processes."""
    if workers < 2 or len(seeds) < 2:
        yield from map(partial(play, steps), seeds)
        return
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(workers, len(seeds)), spawn) as pool:
        try:
            yield from pool.map(partial(play, steps), seeds, chunksize=4)
        finally:
            pool.shutdown(cancel_futures=True)  # after a violation the other seeds are not waited for


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
