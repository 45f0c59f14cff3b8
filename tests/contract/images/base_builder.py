"""Builds the host's base image in a plane and prints each stage: a process for tests to kill.

python -m tests.contract.images.base_builder ROOT
"""

from __future__ import annotations

import sys
from pathlib import Path

from poolwright.images.raw import RawImagePlane


def main(root: Path) -> None:
    plane = RawImagePlane(root, base_cache=root / "bases")
    plane.ensure_base(plane.catalogue()[-1].image, lambda stage, _fraction: print(stage, flush=True))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
