"""What only planes of real files can show: full disks, reflinks, partitions, locks, builds side by side."""

from __future__ import annotations

import fcntl
import os
import shutil
import struct
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from poolwright.images import programs
from poolwright.images.base import BuildFailed, DiskBusy, NoSpace
from poolwright.images.bases import BaseBuilder
from poolwright.images.filesystem import make_ext4
from poolwright.images.inspect import inspect_disk
from poolwright.images.layout import DiskDirectory
from poolwright.images.raw import RawImagePlane
from poolwright.images.rootfs import Build
from poolwright.images.sparse import copy_disk, make_empty
from tests.contract.images.harness import MIB, OS_RELEASE, TINY, RawHarness, TinyBases, TinyRootfs, tiny_plane
from tests.support.leaks import Watch

needs_root = pytest.mark.needs_root


def require_root() -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root: mounts a file system")


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A file system of 16 MiB."""
    require_root()
    mount = tmp_path / "small"
    mount.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(mount)], check=True)
    try:
        yield mount
    finally:
        subprocess.run(["umount", str(mount)], check=True)


@needs_root
@pytest.mark.parametrize("operation", ["clone", "snapshot"])
def test_a_full_disk_ends_a_copy_without_a_trace(small: Path, operation: str) -> None:
    harness = RawHarness(tiny_plane(small), small)
    plane = harness.plane
    plane.create_empty("source", 64 * MIB)
    harness.write("source", 20 * MIB, os.urandom(10 * MIB))
    free = plane.usage().free_bytes
    with pytest.raises(NoSpace, match=r"no space left .* while (cloning|taking a snapshot of) disk source"):
        getattr(plane, operation)("source", "copy")
    assert [disk.name for disk in plane.list()] == ["source"]
    assert plane.usage().free_bytes == free
    assert plane.recover().clean


@needs_root
def test_a_full_disk_ends_a_base_build_without_a_trace(small: Path) -> None:
    class Filling(TinyBases):
        def maker(self, image: object) -> TinyRootfs:
            return FillingRootfs()

    class FillingRootfs(TinyRootfs):
        def make(self, work: Path, build: Build) -> Path:
            root = super().make(work, build)
            (root / "big").write_bytes(os.urandom(9 * MIB))
            return root

    plane = tiny_plane(small, bases=Filling())
    with pytest.raises(NoSpace, match="building the base image debian:debian-12:12"):
        plane.ensure_base(TINY.image, lambda _stage, _fraction: None)
    assert plane.catalogue()[0].built is False
    assert plane.recover().clean


def test_a_failed_build_leaves_nothing_and_the_next_one_works(tmp_path: Path) -> None:
    class Flaky(TinyBases):
        def maker(self, image: object) -> TinyRootfs:
            self.builds += 1
            return Broken() if self.builds == 1 else TinyRootfs()

    class Broken(TinyRootfs):
        def make(self, work: Path, build: Build) -> Path:
            super().make(work, build)
            raise BuildFailed("bootstrap", "E: no route to the mirror")

    plane = tiny_plane(tmp_path, bases=Flaky())
    with pytest.raises(BuildFailed, match="bootstrap failed; its last output was:\nE: no route"):
        plane.ensure_base(TINY.image, lambda _stage, _fraction: None)
    assert plane.recover().clean
    assert plane.ensure_base(TINY.image, lambda _stage, _fraction: None).frozen


def test_planes_that_share_a_cache_build_once(tmp_path: Path) -> None:
    bases = TinyBases()
    planes = [
        RawImagePlane(tmp_path / f"plane{index}", bases=BaseBuilder(DiskDirectory(tmp_path / "cache"), bases))
        for index in range(4)
    ]
    start = threading.Barrier(4)

    def ensure(plane: RawImagePlane) -> str | None:
        start.wait(timeout=10)
        return plane.ensure_base(TINY.image, lambda _stage, _fraction: None).digest

    with ThreadPoolExecutor(4) as pool:
        assert len(set(pool.map(ensure, planes))) == 1
    assert bases.builds == 1


def test_recovery_leaves_a_running_build_of_another_process_alone(tmp_path: Path) -> None:
    seen: list[tuple[str, ...]] = []
    other = tiny_plane(tmp_path)

    def on_step(step: str) -> None:
        if step == "base:tree":
            seen.append(other.recover().removed)

    tiny_plane(tmp_path, on_step).ensure_base(TINY.image, lambda _stage, _fraction: None)
    assert seen == [()]


def test_a_disk_that_stays_locked_is_busy(tmp_path: Path) -> None:
    directory = DiskDirectory(tmp_path, lock_timeout_s=0.05)
    plane = RawImagePlane(tmp_path, bases=BaseBuilder(directory, TinyBases()), lock_timeout_s=0.05)
    plane.create_empty("disk", MIB)
    fd = os.open(tmp_path / "disks/disk", os.O_RDONLY)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        with pytest.raises(DiskBusy, match="another operation"):
            plane.freeze("disk")
    finally:
        os.close(fd)
    assert plane.freeze("disk")


def test_a_copy_keeps_holes_and_bytes(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    with source.open("wb") as file:
        file.truncate(300 * MIB + 4096)
        for offset in (0, 7 * MIB + 3, 299 * MIB):
            file.seek(offset)
            file.write(os.urandom(70_000))
    copy_disk(source, target)
    assert target.stat().st_size == source.stat().st_size
    assert target.stat().st_blocks <= source.stat().st_blocks + 64
    subprocess.run(["cmp", str(source), str(target)], check=True)


@needs_root
def test_a_file_system_with_reflinks_shares_what_is_copied(tmp_path: Path) -> None:
    require_root()
    if shutil.which("mkfs.btrfs") is None:
        pytest.skip("needs mkfs.btrfs (package btrfs-progs) to make a file system with reflinks")
    image, mount = tmp_path / "btrfs.raw", tmp_path / "btrfs"
    mount.mkdir()
    with image.open("wb") as file:
        file.truncate(300 * MIB)
    subprocess.run(["mkfs.btrfs", "-q", str(image)], check=True)
    argv = ["mount", "-o", "loop", str(image), str(mount)]
    done = subprocess.run(argv, check=False, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"this kernel cannot mount btrfs: {done.stderr.strip()}")
    try:
        harness = RawHarness(tiny_plane(mount), mount)
        harness.plane.create_empty("source", 64 * MIB)
        harness.write("source", 8 * MIB, os.urandom(32 * MIB))
        assert harness.plane.usage().reflinks
        for index in range(8):  # eight real copies would not fit
            harness.plane.clone("source", f"c{index}")
        harness.write("c7", 0, b"own")
        assert harness.read("source", 0, 3) == b"\0\0\0"
        assert harness.plane.freeze("source") == harness.plane.snapshot("c0", "snap").digest
    finally:
        subprocess.run(["umount", str(mount)], check=True)


def test_growing_a_file_system_uses_the_new_room_and_keeps_the_files(tmp_path: Path) -> None:
    plane = tiny_plane(tmp_path)
    base = plane.ensure_base(TINY.image, lambda _stage, _fraction: None)
    plane.clone(base.name, "disk")
    plane.resize("disk", 512 * MIB)
    assert _blocks(plane.path("disk")) == TINY.size_bytes
    plane.resize("disk", 512 * MIB, grow_filesystem=True)
    assert _blocks(plane.path("disk")) == 512 * MIB
    subprocess.run(["e2fsck", "-f", "-n", str(plane.path("disk"))], check=True, capture_output=True)
    assert plane.inspect("disk").os_pretty == "Tiny 12"


def _blocks(path: Path) -> int:
    """Bytes the file system takes for itself."""
    done = subprocess.run(["dumpe2fs", "-h", str(path)], check=True, capture_output=True, text=True)
    fields = dict(line.split(":", 1) for line in done.stdout.splitlines() if ":" in line)
    return int(fields["Block count"]) * int(fields["Block size"])


def partitioned(path: Path, first: Path, second: Path) -> None:
    """A disk with a DOS partition table (MBR) and two partitions, from files of whole MiB."""
    sizes = [file.stat().st_size for file in (first, second)]
    starts = [MIB, MIB + sizes[0]]
    entries = b"".join(
        struct.pack("<B3sB3sII", 0, b"\xfe\xff\xff", 0x83, b"\xfe\xff\xff", start // 512, size // 512)
        for start, size in zip(starts, sizes, strict=True)
    )
    with path.open("wb") as disk:
        disk.truncate(starts[1] + sizes[1])
        disk.write(b"\0" * 440 + b"PWRT\0\0" + entries.ljust(64, b"\0") + b"\x55\xaa")
        for start, file in zip(starts, (first, second), strict=True):
            disk.seek(start)
            disk.write(file.read_bytes())


def test_the_system_is_found_in_its_partition(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    (tree / "etc").mkdir(parents=True)
    release = OS_RELEASE.replace("debian", "ubuntu").replace('"12"', '"24.04"')
    (tree / "etc/os-release").write_text(release)  # no usr/lib: as old releases have it
    for name, content in (("boot", None), ("root", tree)):
        with (tmp_path / name).open("wb") as file:
            file.truncate(16 * MIB)
        make_ext4(tmp_path / name, label=name, tree=content)
    partitioned(tmp_path / "disk", tmp_path / "boot", tmp_path / "root")
    seen = inspect_disk(tmp_path / "disk")
    assert (seen.partition_table, seen.partition_offset, seen.partition_size) == ("dos", 17 * MIB, 16 * MIB)
    assert (seen.filesystem, seen.label, seen.agent_sku) == ("ext4", "root", "batch.node.ubuntu 24.04")
    with (tmp_path / "disk").open("r+b") as disk:  # without its root file system, the first one known is told
        disk.seek(17 * MIB)
        disk.write(b"\0" * 64 * 1024)
    seen = inspect_disk(tmp_path / "disk")
    assert (seen.partition_offset, seen.label, seen.os_id) == (MIB, "boot", None)


def test_a_disk_cannot_make_the_host_read_its_own_files(tmp_path: Path) -> None:
    """A link in the image to a file that exists on the host only."""
    outside = tmp_path / "outside"
    outside.write_text(OS_RELEASE)
    tree = tmp_path / "tree"
    (tree / "usr/lib").mkdir(parents=True)
    (tree / "usr/lib/os-release").symlink_to(outside)
    with (tmp_path / "disk").open("wb") as file:
        file.truncate(16 * MIB)
    make_ext4(tmp_path / "disk", label="", tree=tree)
    seen = inspect_disk(tmp_path / "disk")
    assert (seen.filesystem, seen.os_id, seen.agent_sku) == ("ext4", None, None)


def btrfs_disk(tmp_path: Path, tree: Path) -> Path:
    if shutil.which("mkfs.btrfs") is None:
        pytest.skip("needs mkfs.btrfs (package btrfs-progs) to make a file system debugfs cannot read")
    disk = tmp_path / "disk"
    make_empty(disk, size_bytes=300 * MIB)
    argv = ["mkfs.btrfs", "-q", "--label", "other", "--rootdir", str(tree), str(disk)]
    subprocess.run(argv, check=True, capture_output=True)
    return disk


@needs_root
def test_other_file_systems_are_read_through_a_mount_that_goes_away(
    tmp_path: Path, leaves_nothing: Watch
) -> None:
    require_root()
    (tmp_path / "tree/usr/lib").mkdir(parents=True)
    (tmp_path / "tree/usr/lib/os-release").write_text(OS_RELEASE)
    seen = inspect_disk(btrfs_disk(tmp_path, tmp_path / "tree"))
    assert (seen.filesystem, seen.label, seen.agent_sku) == ("btrfs", "other", "batch.node.debian 12")


@needs_root
@pytest.mark.parametrize("link", ["usr", "usr/lib", "usr/lib/os-release"])
def test_a_mounted_disk_cannot_make_the_host_read_its_own_files(
    tmp_path: Path, link: str, leaves_nothing: Watch
) -> None:
    require_root()
    place = tmp_path / "tree" / link
    place.parent.mkdir(parents=True)
    place.symlink_to("/" + link)  # where the host has a release of its own
    seen = inspect_disk(btrfs_disk(tmp_path, tmp_path / "tree"))
    assert (seen.filesystem, seen.os_id) == ("btrfs", None)


def test_an_older_mke2fs_is_asked_again_in_its_own_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    older = tmp_path / "bin/mke2fs"
    older.parent.mkdir()
    real = shutil.which("mke2fs", path=programs.SEARCH_PATH)
    older.write_text(
        '#!/bin/sh\ncase "$*" in *prezeroed*) echo "Bad option(s) specified: assume_storage_prezeroed=1" >&2; exit 1;; '
        f'esac\nexec {real} "$@"\n'
    )
    older.chmod(0o755)
    monkeypatch.setattr(programs, "SEARCH_PATH", f"{older.parent}:{programs.SEARCH_PATH}")
    plane = tiny_plane(tmp_path / "images")
    plane.create_empty("disk", 64 * MIB)
    plane.format_empty("disk", "data")
    assert plane.inspect("disk").label == "data"
    older.write_text('#!/bin/sh\necho "mke2fs: some other trouble" >&2; exit 1\n')
    plane.create_empty("next", 64 * MIB)
    with pytest.raises(BuildFailed, match="some other trouble"):
        plane.format_empty("next", "data")
    assert plane.get("next").allocated_bytes == 0
    assert plane.recover().clean


@pytest.mark.parametrize("fill", [b"\xff", b"\x55\xaa", b"ID=debian\nVERSION_ID=12\n"])
def test_a_disk_of_anything_has_no_file_system(tmp_path: Path, fill: bytes) -> None:
    (tmp_path / "disk").write_bytes((fill * (2 * MIB // len(fill) + 1))[: 2 * MIB])
    seen = inspect_disk(tmp_path / "disk")
    assert (seen.size_bytes, seen.filesystem, seen.os_id) == (2 * MIB, None, None)
