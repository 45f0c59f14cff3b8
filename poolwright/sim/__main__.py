"""`python -m poolwright.sim --seed N [--steps M] [--count K]`: play stories; the first violation ends it."""

from __future__ import annotations

import argparse
import logging
import sys
import time

from poolwright.sim.story import STEPS, Story, Violation


def main(arguments: list[str]) -> int:
    """Play `count` seeds from `seed` on. Returns 1 on a violation, with its seed and story printed."""
    parser = argparse.ArgumentParser(prog="poolwright.sim", description=__doc__)
    parser.add_argument("--seed", type=int, default=time.time_ns() % 1_000_000, help="the first seed")
    parser.add_argument("--steps", type=int, default=STEPS, help="commands in the safety phase")
    parser.add_argument("--count", type=int, default=1, help="how many seeds")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.ERROR)  # a story is full of what would be warnings elsewhere
    for seed in range(options.seed, options.seed + options.count):
        try:
            outcome = Story(seed).run(options.steps)
        except Violation as violation:
            print(violation)
            print(f"again: ./dev sim --seed {seed} --steps {options.steps}")
            return 1
        print(
            f"seed {seed}: {outcome.events} events in {outcome.virtual_s:.0f} virtual seconds, "
            f"{outcome.restarts} restarts of the service, {outcome.completed} tasks completed; all invariants held"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
