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


@dataclass(frozen=True)
class Volume:
    """A file system on a raw image: the whole image, or `size` bytes from `offset` on (0: up to the end)."""

    image: str
    offset: int = 0
    size: int = 0

    def real(self) -> Volume:
        """The same by the image's own path, so that one file under two names is one volume."""
        return Volume(os.path.realpath(self.image), self.offset, self.size)


@dataclass
class _Shared:
    mountpoint: str
    users: int


def file_system_of(volume: Volume) -> str:
    """Kind of file system of a volume ("ext4", "xfs", "btrfs")."""
    image = volume.image
    try:
        with open(image, "rb") as stream:
            stream.seek(volume.offset)
            head = stream.read(_BTRFS_MAGIC_AT + 8)
    except OSError as failure:
        raise DiskError(f"disk image {image}: {failure.strerror}") from failure
    if head[_EXT_MAGIC_AT : _EXT_MAGIC_AT + 2] == b"\x53\xef":
        return "ext4"
    if head[:4] == b"XFSB":
        return "xfs"
    if head[_BTRFS_MAGIC_AT : _BTRFS_MAGIC_AT + 8] == b"_BHRfS_M":
        return "btrfs"
    raise DiskError(f"disk image {image}: no ext4, xfs or btrfs file system at byte {volume.offset}")


_READ_ONLY_OPTIONS = {"ext4": "noload", "xfs": "norecovery,nouuid", "btrfs": ""}
_WRITABLE_OPTIONS = {"ext4": "", "xfs": "nouuid", "btrfs": ""}


class Disks:
    """Mounts of disk images, counted by the machines that use them. Paths are below `run_dir`."""

    def __init__(self, run_dir: str, userns_fd: int) -> None:
        self._dir = os.path.join(run_dir, "mnt")
        self._userns = userns_fd
        self._shared: dict[Volume, _Shared] = {}
        self._serial = 0
        os.makedirs(self._dir, mode=0o711, exist_ok=True)
        self._scratch = self._directory("scratch")

    def share(self, wanted: Volume) -> str:
        """Directory where the frozen volume is mounted read-only; one more user of it."""
        volume = wanted.real()
        known = self._shared.get(volume)
        if known is None:
            tree = self._mapped_tree(volume, read_only=True)
            try:
                self._serial += 1
                mountpoint = self._directory(f"i{self._serial}")
                syscalls.attach_tree(tree, mountpoint)
            finally:
                os.close(tree)
            known = self._shared[volume] = _Shared(mountpoint, 0)
        known.users += 1
        return known.mountpoint

    def release(self, wanted: Volume) -> None:
        """One user less; the last one unmounts."""
        volume = wanted.real()
        known = self._shared.get(volume)
        if known is None:
            return
        known.users -= 1
        if known.users <= 0:
            del self._shared[volume]
            syscalls.umount(known.mountpoint, syscalls.MNT_DETACH)
            os.rmdir(known.mountpoint)

    def open_writable(self, wanted: Volume) -> int:
        """A detached writable mount of a build machine's own disk, as a descriptor. Nobody else may hold it."""
        volume = wanted.real()
        holders = loopdev.users_of(volume.image)
        if holders:
            raise DiskBusy(f"disk image {volume.image} is still attached as {', '.join(holders)}")
        return self._mapped_tree(volume, read_only=False)

    def _mapped_tree(self, volume: Volume, *, read_only: bool) -> int:
        image = volume.image
        kind = file_system_of(volume)
        options = (_READ_ONLY_OPTIONS if read_only else _WRITABLE_OPTIONS)[kind]
        try:
            loop = loopdev.attach(image, read_only=read_only, offset=volume.offset, size=volume.size)
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
