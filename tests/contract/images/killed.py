"""Runs one operation on a plane and kills its own process, as the kernel would, right after a chosen step.

    python -m tests.contract.images.killed ROOT OPERATION STEP

With STEP ``-`` it prints the operation's steps and ends well.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from poolwright.images.raw import RawImagePlane
from tests.contract.images.harness import MIB, TINY, tiny_plane

OPERATIONS: dict[str, Callable[[RawImagePlane], object]] = {
    "create": lambda plane: plane.create_empty("new", 8 * MIB),
    "clone": lambda plane: plane.clone("source", "new"),
    "import": lambda plane: plane.import_disk("new", "source", 5 * MIB),
    "snapshot": lambda plane: plane.snapshot("source", "new"),
    "snapshot-of-frozen": lambda plane: plane.snapshot("twin", "new"),
    "create-elsewhere": lambda plane: plane.at("fast").create_empty("new", 8 * MIB),
    "clone-elsewhere": lambda plane: plane.at("fast").clone("twin", "new"),
    "snapshot-elsewhere": lambda plane: plane.at("fast").snapshot("twin", "new"),
    "freeze-elsewhere": lambda plane: plane.freeze("far"),
    "freeze": lambda plane: plane.freeze("source"),
    "format": lambda plane: plane.format_empty("blank", "data"),
    "grow": lambda plane: plane.resize("formatted", 64 * MIB, grow_filesystem=True),
    "delete-elsewhere": lambda plane: plane.delete("far"),
    "delete": lambda plane: plane.delete("source"),
    "delete-frozen": lambda plane: plane.delete("twin"),
    "base": lambda plane: plane.ensure_base(TINY.image, lambda _stage, _fraction: None),
}


def main(root: Path, operation: str, fatal_step: str) -> None:
    """Steps are printed as they happen; the pipe is unbuffered, so the last one before the kill arrives."""

    def on_step(step: str) -> None:
        os.write(1, f"{step}\n".encode())
        if step == fatal_step:
            os.kill(os.getpid(), signal.SIGKILL)

    OPERATIONS[operation](tiny_plane(root, on_step))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3])
