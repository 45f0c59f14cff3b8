"""Short work in a process of its own: inside a machine's mount namespace, or as the root of a user namespace."""

from __future__ import annotations

import os
from collections.abc import Callable

from poolwright.agent import syscalls

MACHINE_BASE = 100_000  # the host's number of a machine's root; a machine's users are the 65,536 from there
MACHINE_USERS = 65_536
_SAID_MAX = 4000


class ApartFailed(Exception):
    """The work was not done; the text says why."""


def in_namespace(namespace: int, work: Callable[[], str], before: Callable[[], None] = lambda: None) -> str:
    """What the work returns, done as the host's root in the mount namespace of this descriptor; `before` is done in the
    same process and in a mount namespace of its own. Raises ApartFailed."""

    def enter() -> str:
        _own_mounts()
        before()
        syscalls.setns(namespace, syscalls.CLONE_NEWNS)
        return work()

    return _fork(enter, lambda _: None)


def as_machine_root(work: Callable[[], str], before: Callable[[], None] = lambda: None) -> str:
    """What the work returns, done by one who is root over what belongs to machines' users and nobody elsewhere;
    `before` is done first, as the host's root. What both mount ends with them. Raises ApartFailed."""
    ready, go = os.pipe(), os.pipe()

    def enter() -> str:
        os.close(ready[0])
        os.close(go[1])
        _own_mounts()
        before()
        syscalls.unshare(syscalls.CLONE_NEWUSER)
        os.write(ready[1], b"1")
        if os.read(go[0], 1) != b"1":
            return "no user namespace"
        os.setgroups([])
        os.setresgid(0, 0, 0)
        os.setresuid(0, 0, 0)
        return work()

    def map_users(child: int) -> None:
        os.close(ready[1])
        if os.read(ready[0], 1) == b"1":
            for name in ("uid_map", "gid_map"):
                with open(f"/proc/{child}/{name}", "w", encoding="ascii") as stream:
                    stream.write(f"0 {MACHINE_BASE} {MACHINE_USERS}")
            os.write(go[1], b"1")

    try:
        return _fork(enter, map_users)
    finally:
        for fd in (ready[0], *go):
            os.close(fd)


def _own_mounts() -> None:
    syscalls.unshare(syscalls.CLONE_NEWNS)
    syscalls.mount("", "/", "", syscalls.MS_REC | syscalls.MS_PRIVATE)


def _fork(body: Callable[[], str], beside: Callable[[int], None]) -> str:
    receive, send = os.pipe()
    child = os.fork()
    if child == 0:
        said = b"!"
        try:
            os.close(receive)
            said = b"=" + body().encode()[:_SAID_MAX]
        except BaseException as failure:  # noqa: BLE001 - the process ends here; the text is all that is left of it
            said = f"!{type(failure).__name__}: {failure}".encode()[:_SAID_MAX]
        finally:
            os.write(send, said)
            os._exit(0)
    os.close(send)
    try:
        beside(child)
        with os.fdopen(receive, "rb") as pipe:
            said = pipe.read()
    finally:
        os.waitpid(child, 0)
    if not said.startswith(b"="):
        raise ApartFailed(said[1:].decode(errors="replace") or "its process was killed")
    return said[1:].decode(errors="replace")
