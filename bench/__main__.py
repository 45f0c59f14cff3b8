"""`python -m bench [NAME] [OPTIONS]`: run one benchmark, or list them."""

from __future__ import annotations

import importlib
import sys

BENCHMARKS = {
    "pool_of_100": "a pool of 100 nodes from one image: time to idle, disk and memory a node",
    "shared_clones": "200 nodes on one image: how many copies of it lie on the disk and in the page cache",
    "tasks_end_to_end": "5,000 /bin/true tasks through the SDK against a bare two-worker loop",
    "large_job": "a job of 100,000 tasks: added, counted, listed, filtered, deleted; memory of the service",
    "agent_tasks": "tasks through the host agent alone, without service and SDK",
}


def main() -> int:
    if len(sys.argv) < 2 or sys.argv[1] not in BENCHMARKS:
        print("usage: ./dev bench NAME [OPTIONS]\n")
        for name, summary in BENCHMARKS.items():
            print(f"  {name:<20} {summary}")
        return 0 if len(sys.argv) < 2 else 2
    name = sys.argv.pop(1)
    importlib.import_module(f"bench.{name}").main()
    return 0


if __name__ == "__main__":
    sys.exit(main())
