"""The floor: a bare two-worker loop that starts `/bin/true` with its own directory and output files.

No service, no records, no isolation: what the host itself allows. Every task benchmark quotes its ratio to this,
measured right before and right after, because shared machines drift.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from pathlib import Path

WORKERS = 2


def _work(root: Path, count: int) -> None:
    for number in range(count):
        folder = root / str(number)
        working = folder / "wd"
        os.makedirs(working)
        actions = [
            (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
            (
                os.POSIX_SPAWN_OPEN,
                1,
                str(folder / "stdout.txt"),
                os.O_WRONLY | os.O_CREAT | os.O_TRUNC,
                0o644,
            ),
            (
                os.POSIX_SPAWN_OPEN,
                2,
                str(folder / "stderr.txt"),
                os.O_WRONLY | os.O_CREAT | os.O_TRUNC,
                0o644,
            ),
        ]
        os.chdir(working)
        pid = os.posix_spawn("/bin/true", ["/bin/true"], {}, file_actions=actions, setsid=True)
        os.waitpid(pid, 0)


def tasks_per_second(parent: Path, count: int) -> float:
    """Run `count` tasks below a fresh folder of `parent`, two at a time; returns tasks a second."""
    root = Path(tempfile.mkdtemp(prefix="floor-", dir=parent))
    share = count // WORKERS
    began = time.perf_counter()
    children = []
    for worker in range(WORKERS):
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                _work(root / f"w{worker}", share)
                code = 0
            finally:
                os._exit(code)
        children.append(pid)
    codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children]
    seconds = time.perf_counter() - began
    shutil.rmtree(root)
    if any(codes):
        raise RuntimeError(f"a floor worker failed: exit codes {codes}")
    return share * WORKERS / seconds
