"""The one range of host user ids all machines map into, and a user namespace that stands for it."""

from __future__ import annotations

import os
import signal

from poolwright.agent import syscalls

HOST_BASE = 100_000  # container root; far above ordinary accounts, as subordinate ids usually are
COUNT = 65_536
MAP_LINE = f"0 {HOST_BASE} {COUNT}"


def write_maps(proc_dir_fd: int, pid: int, uids: str = MAP_LINE, gids: str = MAP_LINE) -> None:
    """Give the user namespace of process `pid` its ids; `proc_dir_fd` is a descriptor of /proc."""
    for name, lines in (("uid_map", uids), ("gid_map", gids)):
        fd = os.open(f"{pid}/{name}", os.O_WRONLY | os.O_CLOEXEC, dir_fd=proc_dir_fd)
        try:
            os.write(fd, lines.encode())
        finally:
            os.close(fd)


def lending(owner: int, inside: int) -> str:
    """The map of a host directory lent to machines: its owner is the user `inside` a machine, every other user of
    machines keeps the number the host knows it by. Nobody becomes the host's root: a directory of root is lent without
    its owner."""
    first, last = HOST_BASE, HOST_BASE + COUNT
    if owner == 0 or first <= owner < last:
        return f"{first} {first} {COUNT}"
    taken = first + inside
    return f"{owner} {taken} 1\n{first} {first} {inside}\n{taken + 1} {taken + 1} {last - taken - 1}"


def open_namespace(uids: str = MAP_LINE, gids: str = MAP_LINE) -> int:
    """A descriptor of a user namespace with the maps, for idmapped mounts."""
    ready_r, ready_w = os.pipe()
    hold_r, hold_w = os.pipe()
    child = os.fork()
    if child == 0:
        _hold_namespace(ready_w, hold_r, hold_w)
    os.close(ready_w)
    os.close(hold_r)
    proc = os.open("/proc", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if os.read(ready_r, 1) != b"1":
            raise OSError("this kernel or container refuses a new user namespace")
        write_maps(proc, child, uids, gids)
        return os.open(f"/proc/{child}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
    finally:
        os.close(proc)
        os.close(ready_r)
        os.close(hold_w)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def _hold_namespace(ready_w: int, hold_r: int, hold_w: int) -> None:
    try:
        os.close(hold_w)
        syscalls.unshare(syscalls.CLONE_NEWUSER)
        os.write(ready_w, b"1")
        os.read(hold_r, 1)
    finally:
        os._exit(0)
