"""Disk images as mounts: one shared read-only mount a frozen image, one private writable mount a build disk.

All mounts live in the host agent's own mount namespace and carry the machines' id mapping, so files an image
gives to root belong to container root. What is mounted here ends with the last user, also after a crash.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from poolwright.agent import syscalls
from poolwright.engines.sandbox.host import loopdev

_EXT_MAGIC_AT = 0x438
_BTRFS_MAGIC_AT = 0x10040


class DiskError(Exception):
    """A disk image cannot be used; the message says why."""


class DiskBusy(DiskError):
    """Somebody else has the image open for writing."""


@dataclass
class _Shared:
    mountpoint: str
    users: int


def file_system_of(image: str) -> str:
    """Kind of file system on a raw image ("ext4", "xfs", "btrfs")."""
    try:
        with open(image, "rb") as stream:
            head = stream.read(_BTRFS_MAGIC_AT + 8)
    except OSError as failure:
        raise DiskError(f"disk image {image}: {failure.strerror}") from failure
    if head[_EXT_MAGIC_AT : _EXT_MAGIC_AT + 2] == b"\x53\xef":
        return "ext4"
    if head[:4] == b"XFSB":
        return "xfs"
    if head[_BTRFS_MAGIC_AT : _BTRFS_MAGIC_AT + 8] == b"_BHRfS_M":
        return "btrfs"
    raise DiskError(f"disk image {image}: no ext4, xfs or btrfs file system at its start")


_READ_ONLY_OPTIONS = {"ext4": "noload", "xfs": "norecovery,nouuid", "btrfs": ""}
_WRITABLE_OPTIONS = {"ext4": "", "xfs": "nouuid", "btrfs": ""}


class Disks:
    """Mounts of disk images, counted by the machines that use them. Paths are below `run_dir`."""

    def __init__(self, run_dir: str, userns_fd: int) -> None:
        self._dir = os.path.join(run_dir, "mnt")
        self._userns = userns_fd
        self._shared: dict[str, _Shared] = {}
        self._serial = 0
        os.makedirs(self._dir, mode=0o711, exist_ok=True)
        self._scratch = self._directory("scratch")

    def share(self, image: str) -> str:
        """Directory where the frozen `image` is mounted read-only; one more user of it."""
        image = os.path.realpath(image)
        known = self._shared.get(image)
        if known is None:
            tree = self._mapped_tree(image, read_only=True)
            try:
                self._serial += 1
                mountpoint = self._directory(f"i{self._serial}")
                syscalls.attach_tree(tree, mountpoint)
            finally:
                os.close(tree)
            known = self._shared[image] = _Shared(mountpoint, 0)
        known.users += 1
        return known.mountpoint

    def release(self, image: str) -> None:
        """One user less; the last one unmounts."""
        image = os.path.realpath(image)
        known = self._shared.get(image)
        if known is None:
            return
        known.users -= 1
        if known.users <= 0:
            del self._shared[image]
            syscalls.umount(known.mountpoint, syscalls.MNT_DETACH)
            os.rmdir(known.mountpoint)

    def open_writable(self, image: str) -> int:
        """A detached writable mount of a build machine's own disk, as a descriptor. Nobody else may hold it."""
        image = os.path.realpath(image)
        holders = loopdev.users_of(image)
        if holders:
            raise DiskBusy(f"disk image {image} is still attached as {', '.join(holders)}")
        return self._mapped_tree(image, read_only=False)

    def _mapped_tree(self, image: str, *, read_only: bool) -> int:
        kind = file_system_of(image)
        options = (_READ_ONLY_OPTIONS if read_only else _WRITABLE_OPTIONS)[kind]
        try:
            loop = loopdev.attach(image, read_only=read_only)
        except OSError as failure:
            raise DiskError(f"disk image {image}: no loop device: {failure}") from failure
        try:
            flags = syscalls.MS_RDONLY if read_only else 0
            syscalls.mount(loop.path, self._scratch, kind, flags, options)
        except OSError as failure:
            raise DiskError(
                f"disk image {image}: cannot mount its {kind} file system: {failure.strerror}"
            ) from failure
        finally:
            loop.close()
        try:
            tree = syscalls.clone_tree(self._scratch)
        finally:
            syscalls.umount(self._scratch, syscalls.MNT_DETACH)
        try:
            syscalls.set_mount_attributes(tree, userns_fd=self._userns, nodev=True)
        except OSError as failure:
            os.close(tree)
            raise DiskError(f"disk image {image}: cannot map its owners: {failure.strerror}") from failure
        return tree

    def _directory(self, name: str) -> str:
        path = os.path.join(self._dir, name)
        os.makedirs(path, exist_ok=True)
        return path
