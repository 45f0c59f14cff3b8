"""Another kernel for a test: Linux as a program (user-mode Linux), whose root is this host's, read-only.

For what this host's kernel may lack. The guest has 1 GiB, no network but its own loopback, and writes to memory only.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

from tests.support import guest_init

ROOT = Path(__file__).parents[2]
_DEADLINE_S = 240.0
"""Against a guest that hangs, not a measure: it takes about half a minute."""


def why_not() -> str | None:
    """Why there is no guest on this host."""
    if shutil.which("linux.uml") is None:
        return "no linux.uml (Debian's user-mode-linux), which brings a kernel of its own"
    return None


def run(*words: str) -> tuple[int, str]:
    """Run a program as root of a guest; its exit code (-1 when the guest died) and everything that was said.

    Before it runs, the guest serves an empty directory to itself by NFS: `guest_init.EXPORT`.
    """
    told = base64.urlsafe_b64encode(json.dumps([str(ROOT), *words]).encode()).decode()
    script = [
        sys.executable,
        "-B",
        guest_init.__file__,
        told,
    ]  # its command line cannot hold blanks or quotes
    command = [
        "linux.uml",
        "mem=1G",
        "rootfstype=hostfs",
        "rootflags=/",
        "ro",
        "quiet",
        "panic=1",
        "con=null",
    ]
    command += ["con0=null,fd:1", f"init={script[0]}", "--", *script[1:]]
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    try:
        said, _ = process.communicate(timeout=_DEADLINE_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        said, _ = process.communicate()
        return -1, f"{said}\nthe guest did not end within {_DEADLINE_S:.0f} s"
    marks = [line for line in said.splitlines() if line.startswith(guest_init.ENDED)]
    return (int(marks[-1].removeprefix(guest_init.ENDED)) if marks else -1), said
