"""What a machine finds in its file tree besides the image: devices, kernel file systems, names, accounts.

All but `make_device_directory` and `resolver_of_host` runs in the machine's own mount namespace after its tree
became the root, so no symbolic link of an image can lead to the host. Mount points are made with the file rights
of container root (`set_fs_ids`), files by container root itself.
"""

from __future__ import annotations

import contextlib
import os
import stat
import time

from poolwright.agent import syscalls
from poolwright.agent.layout import (
    APPLICATIONS,
    NODE_DIRECTORIES,
    POOL_UID,
    POOL_USER,
    SERVICE_NAME,
    START_TASK_GID,
    START_TASK_GROUP,
    TASK_GID,
    TASK_GROUP,
    TASK_UID,
    TASK_USER,
    TASK_USERS,
    TRASH,
)
from poolwright.engines.sandbox.host import idmap

_DEVICES = (
    ("null", 1, 3),
    ("zero", 1, 5),
    ("full", 1, 7),
    ("random", 1, 8),
    ("urandom", 1, 9),
    ("tty", 5, 0),
)
_LINKS = (
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
    ("ptmx", "pts/ptmx"),
)
_TTY_GROUP = 5
_CERTIFICATES_SIZE = "1m"  # three copies of what a pool may refer to, with room


def make_device_directory(path: str) -> None:
    """Fill a fresh tmpfs at `path` with the devices every machine shares (mounted read-only into each)."""
    flags = syscalls.MS_NOSUID | syscalls.MS_NOEXEC
    syscalls.mount("tmpfs", path, "tmpfs", flags, "mode=755,size=64k")
    before = os.umask(0)
    try:
        for name, major, minor in _DEVICES:
            device = os.path.join(path, name)
            os.mknod(device, 0o666 | stat.S_IFCHR, os.makedev(major, minor))
            os.chown(device, idmap.HOST_BASE, idmap.HOST_BASE)
        for name, target in _LINKS:
            link = os.path.join(path, name)
            os.symlink(target, link)
            os.lchown(link, idmap.HOST_BASE, idmap.HOST_BASE)
        for name in ("pts", "shm", "mqueue"):
            inner = os.path.join(path, name)
            os.mkdir(inner, 0o755)
            os.chown(inner, idmap.HOST_BASE, idmap.HOST_BASE)
    finally:
        os.umask(before)
    os.chown(path, idmap.HOST_BASE, idmap.HOST_BASE)
    syscalls.mount("", path, "", flags | syscalls.MS_REMOUNT | syscalls.MS_BIND | syscalls.MS_RDONLY)


def directory(path: str, mode: int = 0o755) -> None:
    """Make `path` and its parents as they are missing; an existing directory keeps its mode."""
    so_far = ""
    parts = path.strip("/").split("/")
    for part in parts:
        so_far += "/" + part
        with contextlib.suppress(FileExistsError):
            os.mkdir(so_far, mode if so_far == "/" + "/".join(parts) else 0o755)


def mount_kernel_trees(devices_fd: int) -> None:
    """/dev and /sys. /proc needs a process of the machine's process namespace: see `mount_proc`."""
    directory("/dev")
    syscalls.attach_tree(devices_fd, "/dev")
    options = f"newinstance,ptmxmode=0666,mode=0620,gid={idmap.HOST_BASE + _TTY_GROUP}"
    syscalls.mount("devpts", "/dev/pts", "devpts", syscalls.MS_NOSUID | syscalls.MS_NOEXEC, options)
    shm = f"mode=1777,uid={idmap.HOST_BASE},gid={idmap.HOST_BASE}"
    syscalls.mount("tmpfs", "/dev/shm", "tmpfs", syscalls.MS_NOSUID | syscalls.MS_NODEV, shm)
    directory("/sys")
    flags = syscalls.MS_NOSUID | syscalls.MS_NODEV | syscalls.MS_NOEXEC
    syscalls.mount("sysfs", "/sys", "sysfs", flags | syscalls.MS_RDONLY)


def mount_certificates(path: str) -> None:
    """An empty tree in memory, which ends with the machine's present life: private keys are on no disk of a node."""
    directory(path)
    options = f"mode=711,uid={idmap.HOST_BASE},gid={idmap.HOST_BASE},size={_CERTIFICATES_SIZE}"
    flags = syscalls.MS_NOSUID | syscalls.MS_NODEV | syscalls.MS_NOEXEC
    syscalls.mount("tmpfs", path, "tmpfs", flags, options)


def mount_proc() -> None:
    """Mount /proc of the calling process's process namespace; done before the user namespace is left, so that
    the host's settings in /proc/sys belong to an owner container root is not."""
    syscalls.mount("proc", "/proc", "proc", syscalls.MS_NOSUID | syscalls.MS_NODEV | syscalls.MS_NOEXEC)


def write_identity(hostname: str, address: str | None, host: str | None, resolver: str) -> None:
    """Host name, hosts table (with the service, which is at the address `host`) and resolver of this machine."""
    own = address or "127.0.1.1"
    _replace("/etc/hostname", hostname + "\n")
    hosts = f"127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n{own}\t{hostname}\n"
    if host is not None:
        hosts += f"{host}\t{SERVICE_NAME}\n"
    _replace("/etc/hosts", hosts)
    _replace("/etc/resolv.conf", resolver)


def add_accounts() -> None:
    """Entries for the automatic users, after those of the image."""
    people = [(POOL_USER, POOL_UID)] + [(f"{TASK_USER}{n}", TASK_UID + n) for n in range(TASK_USERS)]
    home = f"/home/{POOL_USER}"
    passwd = "".join(
        f"{name}:x:{uid}:{uid}::{home if uid == POOL_UID else '/tmp'}:/bin/sh\n" for name, uid in people
    )
    groups = [*people, (START_TASK_GROUP, START_TASK_GID), (TASK_GROUP, TASK_GID)]
    group = "".join(f"{name}:x:{gid}:\n" for name, gid in groups)
    _append_once("/etc/passwd", passwd)
    _append_once("/etc/group", group)
    directory(home, 0o750)
    os.chown(home, POOL_UID, POOL_UID)


def prepare_node_root(path: str) -> None:
    """The documented directories of the temporary disk; what a reboot kept stays as it is."""
    for name in NODE_DIRECTORIES:
        where = f"{path}/{name}"
        if not os.path.isdir(where):
            os.mkdir(where, 0o755)
            if name in ("shared", "volatile"):  # every task user reads and writes there
                os.chmod(where, 0o1777)
    with contextlib.suppress(FileExistsError):
        os.mkdir(f"{path}/{TRASH}", 0o700)


def discard_packages(path: str, kept: frozenset[str]) -> None:
    """Move directories of application packages that nobody refers to any more to the trash, which the host agent
    empties. Nothing runs in the machine yet; packages of tasks are unpacked again when a task wants them."""
    holder = f"{path}/{APPLICATIONS}"
    if os.path.islink(holder):  # what a task of an earlier life put there is nothing of ours
        return
    for name in os.listdir(holder):
        plain = name.removeprefix(".").removesuffix(".mark").removesuffix(".new") if name[0] == "." else name
        if plain not in kept:
            os.rename(f"{holder}/{name}", f"{path}/{TRASH}/package-{time.monotonic_ns()}")


def resolver_of_host() -> str:
    """resolv.conf text with resolvers a machine can reach: a loopback stub of the host is none."""
    for path in ("/etc/resolv.conf", "/run/systemd/resolve/resolv.conf"):
        try:
            with open(path, encoding="utf-8", errors="replace") as stream:
                lines = stream.readlines()
        except OSError:
            continue
        servers = [
            line.split()[1] for line in lines if line.startswith("nameserver") and len(line.split()) > 1
        ]
        reachable = [server for server in servers if not server.startswith("127.") and server != "::1"]
        if reachable:
            others = [line.rstrip("\n") for line in lines if line.split()[:1] in (["search"], ["options"])]
            return "".join(f"nameserver {server}\n" for server in reachable) + "".join(
                f"{o}\n" for o in others
            )
    return "# this host has no resolver that a machine could reach\n"


def _replace(path: str, text: str) -> None:
    """Write a fresh file; an image's symbolic link (to a resolver stub, say) is replaced, not followed."""
    directory("/etc")
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)


def _append_once(path: str, text: str) -> None:
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        present = b""
        while chunk := os.read(fd, 65_536):
            present += chunk
        if f"\n{POOL_USER}:".encode() in b"\n" + present:
            return
        os.write(fd, (b"" if present.endswith(b"\n") or not present else b"\n") + text.encode())
    finally:
        os.close(fd)
