"""The one range of host user ids all machines map into, and a user namespace that stands for it."""

from __future__ import annotations

import os
import signal

from poolwright.agent import syscalls

HOST_BASE = 100_000  # container root; far above ordinary accounts, as subordinate ids usually are
COUNT = 65_536
MAP_LINE = f"0 {HOST_BASE} {COUNT}"


def write_maps(proc_dir_fd: int, pid: int) -> None:
    """Give the user namespace of process `pid` its ids; `proc_dir_fd` is a descriptor of /proc."""
    for name in ("uid_map", "gid_map"):
        fd = os.open(f"{pid}/{name}", os.O_WRONLY | os.O_CLOEXEC, dir_fd=proc_dir_fd)
        try:
            os.write(fd, MAP_LINE.encode())
        finally:
            os.close(fd)


def open_namespace() -> int:
    """A descriptor of a user namespace with the map, for idmapped mounts."""
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
        write_maps(proc, child)
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
