"""Places mounted into a node below its mounts directory: directories that the operator exports, and NFS.

The builder gathers them as detached mounts before it leaves the host's network and processes, and attaches them once
the node's tree is its root. One that fails does not stop the birth: the node comes up with a trouble that says why,
and beside every mount lies a log of how it went.
"""

from __future__ import annotations

import errno
import os
import shutil
import signal
import socket
import time
from dataclasses import dataclass
from typing import Any

from poolwright.agent import syscalls
from poolwright.agent.layout import MOUNTS, NODE_ROOT, POOL_UID
from poolwright.engines.sandbox.host import idmap, rootfs

_NFS_DEADLINE_S = 10.0
_POLL_S = 0.02
_WORDS = 1000
_MAX = 64
_KINDS = ("directory", "nfs", "none")
_NEXT = {
    "directory": "See that the exported directory is as it was when the service started, then reboot the node.",
    "nfs": "See that the host reaches the NFS server and may mount from it, then reboot the node.",
    "none": "Export it again, then reboot the node; or make the pool without it.",
}


@dataclass
class Place:
    """One mount: a detached tree, or why there is none."""

    path: str
    kind: str
    source: str
    tree: int | None = None
    problem: str = ""


def from_request(request: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    """The mounts of a machine request, checked. Raises ValueError."""
    mounts = [dict(mount) for mount in request.get("mounts") or []]
    if mounts and (kind != "node" or len(mounts) > _MAX):
        raise ValueError(f"mounts: {len(mounts)} on a machine of kind {kind!r}: a node has at most {_MAX}")
    for mount in mounts:
        parts = str(mount.get("path", "")).split("/")
        if "" in parts or set(parts) & {".", ".."} or "\0" in mount["path"]:
            raise ValueError(f"mounts: path {mount.get('path')!r}: must be relative, without '.' and '..'")
        if mount.get("kind") not in _KINDS:
            raise ValueError(f"mounts: kind {mount.get('kind')!r}: must be one of {', '.join(_KINDS)}")
    return mounts


def gather(mounts: list[dict[str, Any]], scratch: str) -> list[Place]:
    """Every mount as a detached tree, in order. Leaves the mount table of the host agent, if there is any to make."""
    if not mounts:
        return []
    syscalls.unshare(syscalls.CLONE_NEWNS)
    places = []
    for mount in mounts:
        place = Place(mount["path"], mount["kind"], mount["source"])
        try:
            if place.kind == "directory":
                place.tree = _directory(mount)
            elif place.kind == "nfs":
                place.tree = _nfs(mount, scratch)
            else:
                place.problem = place.source
        except OSError as failure:
            place.problem = failure.strerror or str(failure)
        places.append(place)
    return places


def attach(places: list[Place]) -> list[dict[str, Any]]:
    """Put the trees in place in the node's own tree and write their logs; the troubles of those that failed."""
    if not places:
        return []
    base = f"/{NODE_ROOT}/{MOUNTS}"
    rootfs.directory(base)
    troubles = []
    for place in places:
        try:
            if place.tree is not None:
                rootfs.directory(f"{base}/{place.path}")
                syscalls.attach_tree(place.tree, f"{base}/{place.path}")
        except OSError as failure:
            place.problem = place.problem or failure.strerror or str(failure)
        finally:
            if place.tree is not None:
                os.close(place.tree)
        _write_log(base, place)
        if place.problem:
            troubles.append(_trouble(place))
    return troubles


def log_name(path: str) -> str:
    """The log of the mount at `path`, beside the mounts."""
    return f"fshare-{path.replace('/', '-')}.log"


def _trouble(place: Place) -> dict[str, Any]:
    cause = f"{place.path} could not be mounted: {place.problem}."
    log = f"{MOUNTS}/{log_name(place.path)}"
    details = [["Path", place.path], ["Cause", place.problem], ["NextStep", _NEXT[place.kind]], ["Log", log]]
    return {"code": "MountConfigurationError", "message": f"{cause} {_NEXT[place.kind]}", "details": details}


def _write_log(base: str, place: Place) -> None:
    path = f"{base}/{log_name(place.path)}"
    said = f"failed: {place.problem}\n{_NEXT[place.kind]}" if place.problem else "mounted"
    source = place.source if place.kind == "nfs" else f"a {place.kind} of the host"
    stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    try:
        if os.path.lexists(path):
            os.unlink(path)
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
    except OSError:  # the node's own doing, or its disk is full: the trouble says it all the same
        return
    with os.fdopen(fd, "w", encoding="utf-8") as stream:
        stream.write(f"{stamp} {source} at {place.path}: {said}\n")


def _directory(mount: dict[str, Any]) -> int:
    """A directory inside an exported one: no link leads out, its owner is the pool's user, nobody is root."""
    root = os.open(mount["source"], os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        seen = os.fstat(root)
        if (seen.st_dev, seen.st_ino) != (mount["device"], mount["inode"]):
            raise OSError(
                "the exported directory is another one than when the service started (was it mounted since?)"
            )
        inside = str(mount.get("inside") or ".").strip("/") or "."
        try:
            fd = syscalls.open_beneath(root, inside, os.O_PATH | os.O_DIRECTORY)
        except OSError as failure:
            raise OSError(f"{inside} inside the exported directory: {failure.strerror}") from failure
    finally:
        os.close(root)
    try:
        tree = syscalls.clone_tree(f"/proc/self/fd/{fd}")
    finally:
        os.close(fd)
    users = idmap.open_namespace(idmap.lending(seen.st_uid, POOL_UID), idmap.lending(seen.st_gid, POOL_UID))
    try:
        syscalls.set_mount_attributes(
            tree, userns_fd=users, read_only=bool(mount.get("read_only")), nodev=True, nosuid=True
        )
    except OSError as failure:
        os.close(tree)
        if failure.errno == errno.EINVAL:
            raise OSError("its file system cannot be lent to other users (idmapped mounts)") from failure
        raise
    finally:
        os.close(users)
    return tree


def _nfs(mount: dict[str, Any], scratch: str) -> int:
    """Mounted from the host's network, in a process of its own: a server that is away must not hold up the birth."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read)
        _mount_nfs(mount, scratch, write)
    os.close(write)
    said, deadline = b"", time.monotonic() + _NFS_DEADLINE_S
    try:
        while os.waitpid(child, os.WNOHANG)[0] == 0:
            if time.monotonic() > deadline:
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)
                raise OSError(f"the NFS server did not answer within {_NFS_DEADLINE_S:.0f} s")
            time.sleep(_POLL_S)
        said = os.read(read, _WORDS)
    finally:
        os.close(read)
    if said:
        raise OSError(said.decode(errors="replace").strip())
    tree = syscalls.clone_tree(scratch)
    syscalls.umount(scratch, syscalls.MNT_DETACH)
    syscalls.set_mount_attributes(tree, read_only=bool(mount.get("read_only")), nodev=True, nosuid=True)
    return tree


def _mount_nfs(mount: dict[str, Any], target: str, said: int) -> None:
    """Body of that process. Never returns; what goes wrong is written to `said`."""
    try:
        options = ",".join(filter(None, (mount.get("options"), "nosuid,nodev")))
        program = shutil.which("mount.nfs", path="/usr/sbin:/sbin:/usr/bin:/bin")
        if program is not None:
            os.dup2(said, 1)
            os.dup2(said, 2)
            command = ["mount.nfs", mount["source"], target, "-o", options]
            os.execve(program, command, {"PATH": "/usr/sbin:/usr/bin"})  # noqa: S606 - no shell is the point
        server, _, path = str(mount["source"]).rpartition(":/")
        address = socket.getaddrinfo(server.strip("[]"), 2049, type=socket.SOCK_STREAM)[0][4][0]
        given = [
            option for option in str(mount.get("options") or "").split(",") if option not in ("", "ro", "rw")
        ]
        if not any(option.startswith(("vers=", "nfsvers=")) for option in given):
            given.append("vers=4.2")
        data = ",".join([*given, f"addr={address}"])
        syscalls.mount(f"{server}:/{path}", target, "nfs", syscalls.MS_NOSUID | syscalls.MS_NODEV, data)
    except OSError as failure:
        text = failure.strerror or str(failure)
        if failure.errno == errno.ENODEV:
            text = "the kernel of this host has no NFS client"
        os.write(said, text.encode()[:_WORDS])
    finally:
        os._exit(0)
