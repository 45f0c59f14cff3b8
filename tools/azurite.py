"""Azurite, the blob storage of the tests: installed by npm into `.dev/cache`, from the pinned list beside this file."""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import subprocess
import sys

from tools.paths import PRIVATE, ROOT

PINNED = ROOT / "tools" / "azurite_npm"
HOME = PRIVATE / "cache" / "azurite"
PROGRAM = HOME / "node_modules" / "azurite" / "dist" / "src" / "blob" / "main.js"
_INSTALL_S = 600


class Unavailable(Exception):
    """Azurite cannot be had on this host; the message says why."""


def ensure() -> list[str]:
    """The command that starts Azurite's blob service; installs it when needed. Raises Unavailable."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        raise Unavailable("node and npm are not installed; Azurite, the tests' blob storage, needs them")
    wanted = hashlib.sha256((PINNED / "package-lock.json").read_bytes()).hexdigest()
    HOME.mkdir(parents=True, exist_ok=True)
    with (HOME / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not _is_installed(wanted):
            _install(npm)
            (HOME / "pinned").write_text(wanted)
    return [node, str(PROGRAM)]


def _is_installed(wanted: str) -> bool:
    mark = HOME / "pinned"
    return PROGRAM.exists() and mark.exists() and mark.read_text() == wanted


def _install(npm: str) -> None:
    print("dev: bringing Azurite from the npm registry", file=sys.stderr, flush=True)
    for name in ("package.json", "package-lock.json"):
        shutil.copy(PINNED / name, HOME / name)
    command = [npm, "ci", "--no-fund", "--no-audit", "--ignore-scripts", "--loglevel=error"]
    try:
        done = subprocess.run(
            command, cwd=HOME, stdin=subprocess.DEVNULL, capture_output=True, timeout=_INSTALL_S, check=False
        )
    except subprocess.TimeoutExpired:
        raise Unavailable(f"npm did not install Azurite within {_INSTALL_S} s") from None
    if done.returncode != 0:
        raise Unavailable(f"npm could not install Azurite: {done.stderr.decode(errors='replace')[-400:]}")


def main() -> int:
    """Entry for `python3 -m tools.azurite`: install, and tell the command."""
    try:
        print(" ".join(ensure()))
    except Unavailable as reason:
        print(f"dev: {reason}", file=sys.stderr)
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(main())
