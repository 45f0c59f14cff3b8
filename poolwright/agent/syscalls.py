"""Linux system calls the standard library does not offer, through ctypes. Every failure is an `OSError`.

Numbers above 423 are the same on every architecture (the kernel's common table), so none is looked up by machine.
"""

from __future__ import annotations

import ctypes
import os
import struct

_libc = ctypes.CDLL(None, use_errno=True)

CLONE_NEWNS = 0x0002_0000
CLONE_NEWUTS = 0x0400_0000
CLONE_NEWIPC = 0x0800_0000
CLONE_NEWUSER = 0x1000_0000
CLONE_NEWPID = 0x2000_0000
CLONE_NEWNET = 0x4000_0000

MS_RDONLY = 0x1
MS_NOSUID = 0x2
MS_NODEV = 0x4
MS_NOEXEC = 0x8
MS_REMOUNT = 0x20
MS_BIND = 0x1000
MS_REC = 0x4000
MS_PRIVATE = 0x4_0000
MNT_DETACH = 0x2

_SYS_OPEN_TREE = 428
_SYS_MOVE_MOUNT = 429
_SYS_OPENAT2 = 437
_SYS_MOUNT_SETATTR = 442

_AT_FDCWD = -100
_AT_EMPTY_PATH = 0x1000
_AT_RECURSIVE = 0x8000
_OPEN_TREE_CLONE = 0x1
_OPEN_TREE_CLOEXEC = 0x8_0000
_MOVE_MOUNT_F_EMPTY_PATH = 0x4
_MOUNT_ATTR_IDMAP = 0x10_0000
_MOUNT_ATTR_RDONLY = 0x1
_MOUNT_ATTR_NOSUID = 0x2
_MOUNT_ATTR_NODEV = 0x4

RESOLVE_NO_MAGICLINKS = 0x02
RESOLVE_BENEATH = 0x08

_PR_SET_CHILD_SUBREAPER = 36
_PR_CAPBSET_DROP = 24
_PR_SET_DUMPABLE = 4
_PR_SET_PDEATHSIG = 1
_PR_SET_NO_NEW_PRIVS = 38
_SIGKILL = 9


def _check(result: int, what: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result


def unshare(flags: int) -> None:
    """Leave the namespaces named by `flags`."""
    _check(_libc.unshare(flags), "unshare")


def setns(fd: int, flags: int) -> None:
    """Enter the namespace that a descriptor stands for (setns(2)); with a mount namespace its root comes along."""
    _check(_libc.setns(fd, flags), "setns")


def mount(source: str, target: str, fstype: str, flags: int = 0, data: str = "") -> None:
    """mount(2); an empty `fstype` passes none (binds, remounts, changes of propagation)."""
    kind = fstype.encode() if fstype else None
    result = _libc.mount(source.encode(), target.encode(), kind, ctypes.c_ulong(flags), data.encode())
    _check(result, f"mount {fstype or source} on {target}")


def umount(target: str, flags: int = 0) -> None:
    """umount2(2)."""
    _check(_libc.umount2(target.encode(), flags), f"umount {target}")


def pivot_root_here() -> None:
    """Make the current directory the root and let go of the old root (pivot_root(2), "pivot_root . .")."""
    _check(_libc.pivot_root(b".", b"."), "pivot_root")
    umount(".", MNT_DETACH)
    os.chdir("/")


def clone_tree(path: str, *, recursive: bool = False) -> int:
    """A detached copy of the mount at `path` (with those below it), as a file descriptor (open_tree(2))."""
    flags = _OPEN_TREE_CLONE | _OPEN_TREE_CLOEXEC | (_AT_RECURSIVE if recursive else 0)
    return _check(_libc.syscall(_SYS_OPEN_TREE, _AT_FDCWD, path.encode(), flags), f"open_tree {path}")


def set_mount_attributes(
    fd: int,
    *,
    userns_fd: int | None = None,
    read_only: bool = False,
    nodev: bool = False,
    nosuid: bool = False,
    recursive: bool = False,
) -> None:
    """Change a detached mount (with those below it): owner mapping of a user namespace, flags (mount_setattr(2), Linux
    5.12)."""
    bits = _MOUNT_ATTR_RDONLY if read_only else 0
    bits |= _MOUNT_ATTR_NODEV if nodev else 0
    bits |= _MOUNT_ATTR_NOSUID if nosuid else 0
    if userns_fd is not None:
        bits |= _MOUNT_ATTR_IDMAP
    attributes = struct.pack("QQQQ", bits, 0, 0, userns_fd or 0)
    where = _AT_EMPTY_PATH | (_AT_RECURSIVE if recursive else 0)
    result = _libc.syscall(_SYS_MOUNT_SETATTR, fd, b"", where, attributes, len(attributes))
    _check(result, "mount_setattr")


def attach_tree(fd: int, target: str) -> None:
    """Put a detached mount in place (move_mount(2))."""
    result = _libc.syscall(_SYS_MOVE_MOUNT, fd, b"", _AT_FDCWD, target.encode(), _MOVE_MOUNT_F_EMPTY_PATH)
    _check(result, f"move_mount to {target}")


def open_beneath(dir_fd: int, path: str, flags: int, mode: int = 0) -> int:
    """Open `path` below `dir_fd`; no "..", absolute path or symbolic link leads out (openat2(2), Linux 5.6)."""
    how = struct.pack("QQQ", flags | os.O_CLOEXEC, mode, RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS)
    result = _libc.syscall(_SYS_OPENAT2, dir_fd, os.fsencode(path), how, len(how))
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), path)
    return int(result)


def set_hostname(name: str) -> None:
    """Name the machine of the current UTS namespace."""
    raw = name.encode()
    _check(_libc.sethostname(raw, len(raw)), "sethostname")


def become_subreaper() -> None:
    """Orphans of this process's tree become its children instead of init's."""
    _check(_libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), "prctl subreaper")


def set_not_dumpable() -> None:
    """No process of the machine may trace this one, whatever its user id."""
    _check(_libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0), "prctl dumpable")


def set_dumpable() -> None:
    """Undo `set_not_dumpable`: the files of this process in /proc belong to its user again."""
    _check(_libc.prctl(_PR_SET_DUMPABLE, 1, 0, 0, 0), "prctl dumpable")


def hide_arguments(shown: str) -> None:
    """Replace what others read as this process's command line (proc(5), stat fields 48 and 49: where it lies)."""
    with open("/proc/self/stat", "rb") as stream:
        fields = stream.read().rpartition(b")")[2].split()
    start, end = int(fields[45]), int(fields[46])
    if 0 < start < end:
        text = shown.encode()[: end - start - 1]
        ctypes.memmove(start, text.ljust(end - start, b"\0"), end - start)


def drop_bounding_capability(number: int) -> bool:
    """Take a capability away from every program started later; False when the kernel does not know it."""
    return int(_libc.prctl(_PR_CAPBSET_DROP, number, 0, 0, 0)) == 0


def die_with_parent() -> None:
    """The kernel kills this process when the one that made it ends. A change of user takes that back."""
    _check(_libc.prctl(_PR_SET_PDEATHSIG, _SIGKILL, 0, 0, 0), "prctl pdeathsig")


def set_no_new_privileges() -> None:
    """No program started from here has more rights than this process, whatever its file says."""
    _check(_libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "prctl no_new_privs")


def set_fs_ids(uid: int, gid: int) -> None:
    """Act on files as this owner (this thread only) while all other rights stay."""
    _libc.setfsgid(gid)
    _libc.setfsuid(uid)
