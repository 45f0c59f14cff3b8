"""Disks of a node's own: sparse files with an empty ext4 in them, made and mounted by the machine's builder.

They are mounted in the machine's mount namespace only, so loop device and mount end with the machine. The file system
belongs to container root; it is told not to clear its tables and to give freed blocks back, so it stays thin.
"""

from __future__ import annotations

import os
import shutil
from typing import Any

from poolwright.agent import syscalls
from poolwright.engines.sandbox.host import idmap, loopdev

_DISKS = "disks"
SIZE_MIN = 16 << 20
_OPTIONS = "discard,noinit_itable"
_WORDS = 500
_ZEROED = f"root_owner={idmap.HOST_BASE}:{idmap.HOST_BASE},assume_storage_prezeroed=1"
_OLDER = f"root_owner={idmap.HOST_BASE}:{idmap.HOST_BASE},lazy_itable_init=1,lazy_journal_init=1"


def file_name(lun: int | None) -> str:
    """The disk's file in the directory it lives in."""
    return "root.img" if lun is None else f"lun{lun}.img"


def settle(path: str, place: str, machine: str) -> str:
    """Where the disk really is: at `path`, or in the directory `place` to which a link at `path` leads from its first
    life on. What goes with the machine's directory is so known from that directory alone (see `beyond`)."""
    if os.path.islink(path):
        return os.readlink(path)
    if not place or os.path.exists(path):
        return path
    target = os.path.join(place, f"{machine}.{os.urandom(4).hex()}", os.path.basename(path))
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    os.symlink(target, path)
    return target


def beyond(directory: str) -> list[str]:
    """Directories outside a machine's own that its disks are in."""
    try:
        entries = [
            os.path.join(directory, _DISKS, name) for name in os.listdir(os.path.join(directory, _DISKS))
        ]
    except OSError:
        return []
    return [os.path.dirname(os.readlink(entry)) for entry in entries if os.path.islink(entry)]


def mount(disk: dict[str, Any], target: str) -> None:
    """Mount the disk {"path", "size"} on `target`, made first if this is its first life. Raises OSError."""
    path = str(disk["path"])
    if not os.path.exists(path):
        _make(path, int(disk["size"]))
    loop = loopdev.attach(path, read_only=False)
    try:
        flags = syscalls.MS_NODEV | (syscalls.MS_NOSUID if disk["lun"] is not None else 0)
        syscalls.mount(loop.path, target, "ext4", flags, _OPTIONS)
    finally:
        loop.close()
    lost = os.path.join(target, "lost+found")
    if os.path.isdir(lost):  # fresh: an empty disk is empty, and every task user of the node may use it
        os.rmdir(lost)
        os.chmod(target, 0o1777 if disk["lun"] is not None else 0o755)


def _make(path: str, size: int) -> None:
    home = os.path.dirname(path)
    if not os.path.isdir(
        os.path.dirname(home)
    ):  # never made here: a file system that is not mounted has none
        raise OSError(f"the directory {os.path.dirname(home)}, where disks of nodes are kept, is not there")
    os.makedirs(home, mode=0o700, exist_ok=True)
    new = path + ".new"
    with open(new, "wb") as stream:
        stream.truncate(size)
    if not _mke2fs(new, _ZEROED)[0]:
        done, words = _mke2fs(new, _OLDER)  # e2fsprogs before 1.47
        if not done:
            os.unlink(new)
            raise OSError(f"no file system on the disk {path}: {words}")
    os.rename(new, path)


def _mke2fs(path: str, extended: str) -> tuple[bool, str]:
    program = shutil.which("mke2fs", path="/usr/sbin:/sbin:/usr/bin:/bin")
    if program is None:
        return False, "the host has no mke2fs (package e2fsprogs)"
    read, write = os.pipe()
    command = ["mke2fs", "-q", "-F", "-t", "ext4", "-m", "0", "-E", extended, path]
    actions = [(os.POSIX_SPAWN_DUP2, write, 1), (os.POSIX_SPAWN_DUP2, write, 2)]
    child = os.posix_spawn(program, command, {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}, file_actions=actions)
    os.close(write)
    words = b""
    while piece := os.read(read, 4096):
        words = (words + piece)[-_WORDS:]
    os.close(read)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return status == 0, words.decode(errors="replace").strip() or f"mke2fs ended with {status}"
