"""Loop devices: a raw disk image as a block device that vanishes with its last mount (AUTOCLEAR).

Interface: linux/loop.h. A device is found again by the device and inode number of its backing file.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct

_LOOP_CONFIGURE = 0x4C0A
_LOOP_GET_STATUS64 = 0x4C05
_LOOP_CTL_GET_FREE = 0x4C82
_FLAG_READ_ONLY = 1
_FLAG_AUTOCLEAR = 4
_INFO_BYTES = 232
_INFO_HEAD = "QQQQQIIII"  # device, inode, rdevice, offset, sizelimit, number, encrypt type, key size, flags
_NAME_BYTES = 64
_ATTEMPTS = 20


class Loop:
    """An open loop device. Keep it open until the mount exists: with AUTOCLEAR, the last close ends it."""

    def __init__(self, fd: int, path: str) -> None:
        self.fd = fd
        self.path = path

    def close(self) -> None:
        os.close(self.fd)


def attach(image: str, *, read_only: bool, offset: int = 0, size: int = 0) -> Loop:
    """Bind a free loop device to `size` bytes of `image` from `offset` on; size 0 means up to its end."""
    backing = os.open(image, (os.O_RDONLY if read_only else os.O_RDWR) | os.O_CLOEXEC)
    try:
        control = os.open("/dev/loop-control", os.O_RDWR | os.O_CLOEXEC)
        try:
            return _claim(control, backing, image, read_only, (offset, size))
        finally:
            os.close(control)
    finally:
        os.close(backing)


def _claim(control: int, backing: int, image: str, read_only: bool, part: tuple[int, int]) -> Loop:
    flags = _FLAG_AUTOCLEAR | (_FLAG_READ_ONLY if read_only else 0)
    head = struct.pack(_INFO_HEAD, 0, 0, 0, *part, 0, 0, 0, flags)
    name = os.fsencode(os.path.basename(image))[: _NAME_BYTES - 1].ljust(_NAME_BYTES, b"\0")
    info = (head + name).ljust(_INFO_BYTES, b"\0")
    config = struct.pack("II", backing, 0) + info + bytes(64)
    for _ in range(_ATTEMPTS):
        path = f"/dev/loop{fcntl.ioctl(control, _LOOP_CTL_GET_FREE)}"
        fd = os.open(path, (os.O_RDONLY if read_only else os.O_RDWR) | os.O_CLOEXEC)
        try:
            fcntl.ioctl(fd, _LOOP_CONFIGURE, config)
        except OSError as failure:
            os.close(fd)
            if failure.errno == errno.EBUSY:  # somebody else took it between the two calls
                continue
            raise
        return Loop(fd, path)
    raise OSError(errno.EBUSY, f"no free loop device for {image}")


def users_of(image: str) -> list[str]:
    """Paths of the loop devices bound to this very file now."""
    try:
        wanted = os.stat(image)
    except FileNotFoundError:
        return []
    found = []
    for name in os.listdir("/sys/block"):
        if not name.startswith("loop") or not os.path.exists(f"/sys/block/{name}/loop"):
            continue
        if _backing(f"/dev/{name}") == (wanted.st_dev, wanted.st_ino):
            found.append(f"/dev/{name}")
    return found


def _backing(device: str) -> tuple[int, int] | None:
    try:
        fd = os.open(device, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        status = fcntl.ioctl(fd, _LOOP_GET_STATUS64, bytes(_INFO_BYTES))
    except OSError:
        return None
    finally:
        os.close(fd)
    device_number, inode = struct.unpack_from("QQ", status)
    # The kernel reports the backing file's device in its own packing of major and minor (huge_encode_dev).
    major, minor = (device_number >> 8) & 0xFFF, (device_number & 0xFF) | ((device_number >> 12) & 0xFFF00)
    return os.makedev(major, minor), inode
