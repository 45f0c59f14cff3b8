"""The data-plane client of 2024, for tests: installed beside the environment, whose own client is a newer one."""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

from tools import bootstrap
from tools.failure import Failure
from tools.paths import PRIVATE, ROOT

PINNED = ROOT / "requirements-older-sdk.txt"
HOME = PRIVATE / "older-sdk"
_INSTALL_S = 300


class Unavailable(Exception):
    """The older client cannot be had on this host; the message says why."""


def ensure() -> Path:
    """The folder to import it from; installs it when needed. Raises Unavailable."""
    wanted = hashlib.sha256(f"{sys.version}\n".encode() + PINNED.read_bytes()).hexdigest()
    mark = HOME / "pinned"
    PRIVATE.mkdir(exist_ok=True)
    with (PRIVATE / "older-sdk.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not mark.exists() or mark.read_text() != wanted:
            _install()
            mark.write_text(wanted)
    return HOME


def _install() -> None:
    print("dev: bringing the older client from the package index", file=sys.stderr, flush=True)
    shutil.rmtree(HOME, ignore_errors=True)
    try:
        uv = bootstrap.ensure_uv()
        command = [str(uv), "pip", "install", "--quiet", "--require-hashes", "--no-build"]
        command += ["--python", sys.executable, "--target", str(HOME), "-r", str(PINNED)]
        done = subprocess.run(
            command,
            cwd=ROOT,
            env=bootstrap.uv_environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_INSTALL_S,
            check=False,
        )
    except Failure as failure:
        raise Unavailable(str(failure)) from None
    except subprocess.TimeoutExpired:
        raise Unavailable(f"uv did not install the older client within {_INSTALL_S} s") from None
    if done.returncode != 0:
        words = done.stderr.decode(errors="replace")[-400:]
        raise Unavailable(f"uv could not install the older client: {words}")
