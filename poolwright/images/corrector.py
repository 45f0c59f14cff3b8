"""Takes out of a mounted root file system what should not be in an image: run as a program, `corrector.py DIRECTORY`.

It changes its root to the directory first, so that no link of the image leads outside. Standard library only. Doing it
twice is the same as once. Each rule goes with the finding of the same name in lint.py.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

EXTENSION = re.compile(r"[A-Za-z]+(\.[A-Za-z0-9]+)+-\d[\d.]*\Z")
"""Folder of a virtual machine extension: publisher, type, version."""
TEMPORARY = ("/mnt", "/mnt/resource", "/mnt/batch", "/mnt/batch/tasks")
HISTORIES = (".bash_history", ".sh_history", ".python_history")
CACHES = ("/var/cache/apt/archives", "/var/cache/dnf", "/var/cache/yum", "/var/cache/zypp/packages")
PACKAGE = re.compile(r".+\.(deb|rpm|solv|solvx)\Z")
LEFTOVERS = (
    "/var/lib/cloud/instance",
    "/var/lib/cloud/instances",
    "/var/lib/systemd/random-seed",
    "/var/lib/dhcp/dhclient.leases",
    "/var/lib/waagent/provisioned",
)
_ROTATED = re.compile(r".*(\.\d+|\.gz|\.xz|\.zst|\.old|-\d{8})\Z")


def machine_id() -> None:
    """An empty file is filled at the first start; D-Bus has a link to it, or a copy."""
    path = Path("/etc/machine-id")
    if _is_file(path):
        path.write_bytes(b"")
    copy = Path("/var/lib/dbus/machine-id")
    if _is_file(copy):
        copy.unlink()


def host_keys() -> None:
    """The SSH server makes new ones where there are none."""
    for path in Path("/etc/ssh").glob("ssh_host_*key*"):
        _remove(path)


def logs() -> None:
    """Logs stay as empty files with their owners; old ones and journals go."""
    for path in _below(Path("/var/log")):
        if not _is_file(path):
            continue
        if _ROTATED.match(path.name) or "journal" in path.parts:
            path.unlink()
        else:
            os.truncate(path, 0)
    for path in _children(Path("/var/log/journal")):
        _remove(path)


def histories() -> None:
    """What people typed."""
    for home in (Path("/root"), *_children(Path("/home"))):
        for name in HISTORIES:
            _remove(home / name)


def extensions() -> None:
    """What extensions and their agent left behind, keys among it."""
    agent = Path("/var/lib/waagent")
    for path in _children(agent):
        if EXTENSION.match(path.name) or path.suffix in (".prv", ".crt", ".xml", ".pem", ".settings", ".zip"):
            _remove(path)


def temporary_drive() -> None:
    """The line stays as a comment, so that people see what was there."""
    path = Path("/etc/fstab")
    if not _is_file(path):
        return
    lines = path.read_bytes().splitlines(keepends=True)
    kept = [b"# " + line if _mounts_temporary(line.decode(errors="replace")) else line for line in lines]
    if kept != lines:
        path.write_bytes(b"".join(kept))


def _mounts_temporary(line: str) -> bool:
    words = line.split()
    return len(words) >= 3 and not words[0].startswith("#") and words[1].rstrip("/") in TEMPORARY


def package_caches() -> None:
    """Packages that were fetched to be installed."""
    for folder in CACHES:
        for path in _below(Path(folder)):
            if PACKAGE.match(path.name) and _is_file(path):
                path.unlink()


def temporary_files() -> None:
    """Everything in the directories for temporary files."""
    for folder in ("/tmp", "/var/tmp"):  # noqa: S108 - those of the image
        for path in _children(Path(folder)):
            _remove(path)


def instance_data() -> None:
    """What first-start programs and the network wrote down about this one machine."""
    for name in LEFTOVERS:
        _remove(Path(name))


RULES: dict[str, Callable[[], None]] = {
    "MachineId": machine_id,
    "HostKeys": host_keys,
    "Logs": logs,
    "Histories": histories,
    "Extensions": extensions,
    "TemporaryDrive": temporary_drive,
    "PackageCaches": package_caches,
    "TemporaryFiles": temporary_files,
    "InstanceData": instance_data,
}


def _is_file(path: Path) -> bool:
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except OSError:
        return False


def _children(folder: Path) -> list[Path]:
    """What is in a directory; nothing when it is a link or not there."""
    if folder.is_symlink() or not folder.is_dir():
        return []
    return sorted(folder.iterdir())


def _below(folder: Path) -> Iterator[Path]:
    for parent, _, names in os.walk(folder):  # links to directories are not followed
        for name in names:
            yield Path(parent) / name


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
        return
    with suppress(FileNotFoundError, NotADirectoryError):
        path.unlink()


def main() -> int:
    """Apply every rule below DIRECTORY; 1 with the reason on standard error when one fails."""
    os.chroot(sys.argv[1])
    os.chdir("/")
    for code, rule in RULES.items():
        try:
            rule()
        except OSError as error:
            sys.stderr.write(f"{code}: {error}\n")
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
