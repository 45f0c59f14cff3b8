"""What every image plane promises, on raw files and in memory."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from poolwright.images.base import (
    MAX_DISK_BYTES,
    DiskBusy,
    DiskExists,
    DiskFrozen,
    DiskNotEmpty,
    DiskNotFound,
    ImagePlane,
    ImagePlaneError,
    InvalidDiskArgument,
    MarketplaceImage,
    UnsupportedImage,
)
from poolwright.images.fake import FakeImagePlane
from tests.contract.images.harness import MIB, TINY, FakeHarness, Harness, RawHarness, tiny_plane

BAD_NAMES = ["", ".", "..", "../x", "a/b", "/etc/passwd", "a\0b", "A", "a.b", "a_b", "é", "a" * 81, "a\n"]


@pytest.fixture(params=["raw", "fake"])
def harness(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Harness]:
    made: Harness
    if request.param == "raw":
        made = RawHarness(tiny_plane(tmp_path / "images"), tmp_path / "images")
    else:
        made = FakeHarness(FakeImagePlane(entries=(TINY,)))
    yield made
    assert made.leftovers() == []
    assert made.plane.recover().clean


@pytest.fixture
def plane(harness: Harness) -> ImagePlane:
    return harness.plane


def build_base(plane: ImagePlane) -> str:
    return plane.ensure_base(TINY.image, lambda _stage, _fraction: None).name


def test_an_empty_disk_occupies_nothing_and_reads_as_zeros(harness: Harness, plane: ImagePlane) -> None:
    made = plane.create_empty("vm1-data0", 64 * MIB)
    assert (made.name, made.frozen, made.size_bytes, made.digest) == ("vm1-data0", False, 64 * MIB, None)
    assert made.allocated_bytes == 0
    assert plane.get("vm1-data0") == made
    assert plane.path("vm1-data0", writable=True) == made.path
    assert harness.read("vm1-data0", 64 * MIB - 4, 100) == b"\0" * 4
    assert plane.inspect("vm1-data0").filesystem is None


@pytest.mark.parametrize("name", BAD_NAMES)
def test_a_name_is_one_plain_path_component(plane: ImagePlane, name: str) -> None:
    plane.create_empty("good", MIB)
    calls: list[Callable[[], object]] = [
        lambda: plane.create_empty(name, MIB),
        lambda: plane.clone("good", name),
        lambda: plane.clone(name, "other"),
        lambda: plane.snapshot("good", name),
        lambda: plane.snapshot(name, "other"),
        lambda: plane.resize(name, 2 * MIB),
        lambda: plane.format_empty(name, "data"),
        lambda: plane.freeze(name),
        lambda: plane.inspect(name),
        lambda: plane.delete(name, missing_ok=True),
        lambda: plane.get(name),
        lambda: plane.path(name),
    ]
    for call in calls:
        with pytest.raises(InvalidDiskArgument, match="1 to 80 characters"):
            call()
    assert [disk.name for disk in plane.list()] == ["good"]


def test_names_of_base_disks_are_the_planes_own(plane: ImagePlane) -> None:
    plane.create_empty("good", MIB)
    calls: list[Callable[[], object]] = [
        lambda: plane.create_empty("base-x", MIB),
        lambda: plane.clone("good", "base-x"),
        lambda: plane.snapshot("good", "base-x"),
    ]
    for call in calls:
        with pytest.raises(InvalidDiskArgument, match="kept for base disks"):
            call()


@pytest.mark.parametrize("size", [-1, 0, 1, MIB - 4096, MIB + 1, MIB + 512, MAX_DISK_BYTES + 4096])
def test_a_size_is_in_range_and_whole_sectors(plane: ImagePlane, size: int) -> None:
    with pytest.raises(InvalidDiskArgument, match="size_bytes"):
        plane.create_empty("disk", size)
    assert plane.list() == ()


def test_what_is_not_there_is_said(plane: ImagePlane) -> None:
    calls: list[Callable[[], object]] = [
        lambda: plane.clone("none", "x"),
        lambda: plane.snapshot("none", "x"),
        lambda: plane.resize("none", 2 * MIB),
        lambda: plane.format_empty("none", "data"),
        lambda: plane.freeze("none"),
        lambda: plane.inspect("none"),
        lambda: plane.delete("none"),
        lambda: plane.get("none"),
        lambda: plane.path("none"),
    ]
    for call in calls:
        with pytest.raises(DiskNotFound, match="'none' does not exist"):
            call()
    assert plane.delete("none", missing_ok=True) is False
    assert plane.list() == ()


def test_a_name_is_taken_once(harness: Harness, plane: ImagePlane) -> None:
    plane.create_empty("one", MIB)
    plane.create_empty("two", MIB)
    harness.write("two", 0, b"kept")
    calls: list[Callable[[], object]] = [
        lambda: plane.create_empty("two", MIB),
        lambda: plane.clone("one", "two"),
        lambda: plane.snapshot("one", "two"),
        lambda: plane.clone("two", "two"),
    ]
    for call in calls:
        with pytest.raises(DiskExists, match="'two' exists already"):
            call()
    assert harness.read("two", 0, 4) == b"kept"


def test_a_clone_goes_its_own_way(harness: Harness, plane: ImagePlane) -> None:
    plane.create_empty("source", 16 * MIB)
    harness.write("source", 5 * MIB - 2, b"abcd")
    clone = plane.clone("source", "copy")
    assert not clone.frozen
    assert harness.read("copy", 5 * MIB - 2, 4) == b"abcd"
    harness.write("copy", 0, b"changed")
    harness.write("source", 9 * MIB, b"later")
    assert harness.read("source", 0, 7) == b"\0" * 7
    assert harness.read("copy", 9 * MIB, 5) == b"\0" * 5
    assert plane.get("copy").allocated_bytes < 4 * MIB


def test_a_frozen_disk_is_never_written_again(harness: Harness, plane: ImagePlane) -> None:
    plane.create_empty("disk", 4 * MIB)
    harness.write("disk", 0, b"golden")
    digest = plane.freeze("disk")
    info = plane.get("disk")
    assert info.frozen
    assert info.digest == digest
    calls: list[Callable[[], object]] = [
        lambda: plane.path("disk", writable=True),
        lambda: plane.resize("disk", 8 * MIB),
        lambda: plane.format_empty("disk", "data"),
        lambda: harness.write("disk", 0, b"spoilt"),
    ]
    for call in calls:
        with pytest.raises(DiskFrozen, match="never be written again"):
            call()
    assert plane.freeze("disk") == digest
    assert harness.read("disk", 0, 6) == b"golden"
    clone = plane.clone("disk", "copy")
    assert not clone.frozen
    harness.write("copy", 0, b"writable")
    assert harness.read("disk", 0, 6) == b"golden"


def test_a_digest_is_of_the_bytes_and_not_of_how_they_are_stored(harness: Harness, plane: ImagePlane) -> None:
    plane.create_empty("holes", 8 * MIB)
    plane.create_empty("zeros", 8 * MIB)
    harness.write("zeros", 0, b"\0" * (3 * MIB + 17))
    for name in ("holes", "zeros"):
        harness.write(name, 6 * MIB + 5, b"data")
    plane.clone("zeros", "copy")
    plane.snapshot("zeros", "snap")
    plane.create_empty("moved", 8 * MIB)
    harness.write("moved", 5 * MIB + 5, b"data")
    plane.create_empty("longer", 9 * MIB)
    harness.write("longer", 6 * MIB + 5, b"data")
    digests = {name: plane.freeze(name) for name in ("holes", "zeros", "copy", "snap", "moved", "longer")}
    assert digests["holes"] == digests["zeros"] == digests["copy"] == digests["snap"]
    assert len(set(digests.values())) == 3
    assert all(digest.startswith("sha256:") and len(digest) == 71 for digest in digests.values())


def test_the_digest_has_a_published_value(harness: Harness, plane: ImagePlane) -> None:
    """Computed from the description of the canonical form by other means (head, sha256sum, xxd)."""
    plane.create_empty("disk", 2 * MIB)
    harness.write("disk", MIB, b"poolwright")
    assert plane.freeze("disk") == "sha256:587fbad258e3fb91d3dd8b68be11939ca9404c987a435619b52315dce17aaf5a"


def test_a_snapshot_is_frozen_and_apart(harness: Harness, plane: ImagePlane) -> None:
    plane.create_empty("disk", 4 * MIB)
    harness.write("disk", 0, b"one")
    snapshot = plane.snapshot("disk", "snap")
    assert snapshot.frozen
    assert snapshot.digest is not None
    assert not plane.get("disk").frozen
    harness.write("disk", 0, b"two")
    assert harness.read("snap", 0, 3) == b"one"
    again = plane.snapshot("snap", "snap2")
    assert (again.frozen, again.digest) == (True, snapshot.digest)
    plane.delete("snap")
    assert harness.read("snap2", 0, 3) == b"one"


def test_equal_frozen_disks_occupy_space_once(harness: Harness, plane: ImagePlane) -> None:
    plane.create_empty("disk", 8 * MIB)
    harness.write("disk", 0, os.urandom(4 * MIB))
    plane.snapshot("disk", "one")
    single = plane.usage().allocated_bytes
    plane.snapshot("disk", "two")
    plane.clone("disk", "three")
    plane.freeze("three")
    assert plane.usage().allocated_bytes == single
    data = harness.read("disk", 0, 4 * MIB)
    for name in ("two", "one", "disk"):
        plane.delete(name)
    assert harness.read("three", 0, 4 * MIB) == data
    assert plane.get("three").frozen
    plane.delete("three")
    assert plane.usage().allocated_bytes == 0
    assert plane.usage().disks == 0


def test_a_disk_only_grows(harness: Harness, plane: ImagePlane) -> None:
    plane.create_empty("disk", 4 * MIB)
    harness.write("disk", 4 * MIB - 3, b"end")
    assert plane.resize("disk", 16 * MIB).size_bytes == 16 * MIB
    assert harness.read("disk", 4 * MIB - 3, 6) == b"end\0\0\0"
    assert plane.resize("disk", 16 * MIB).size_bytes == 16 * MIB
    with pytest.raises(InvalidDiskArgument, match="only grows"):
        plane.resize("disk", 8 * MIB)
    assert plane.get("disk").size_bytes == 16 * MIB


def test_a_file_system_grows_with_its_disk_when_asked(harness: Harness, plane: ImagePlane) -> None:
    plane.create_empty("disk", 32 * MIB)
    plane.format_empty("disk", "data")
    assert plane.resize("disk", 128 * MIB, grow_filesystem=True).size_bytes == 128 * MIB
    seen = plane.inspect("disk")
    assert (seen.filesystem, seen.label, seen.partition_size) == ("ext4", "data", 128 * MIB)
    plane.create_empty("blank", 32 * MIB)
    harness.write("blank", 20 * MIB, b"kept")
    plane.resize("blank", 64 * MIB, grow_filesystem=True)
    assert harness.read("blank", 20 * MIB, 4) == b"kept"


def test_an_empty_disk_is_formatted_once(harness: Harness, plane: ImagePlane) -> None:
    plane.create_empty("disk", 32 * MIB)
    plane.format_empty("disk", "data0")
    seen = plane.inspect("disk")
    assert (seen.filesystem, seen.label, seen.partition_offset) == ("ext4", "data0", 0)
    assert (seen.partition_table, seen.partition_size, seen.agent_sku) == (None, 32 * MIB, None)
    assert 0 < plane.get("disk").allocated_bytes < 16 * MIB
    with pytest.raises(DiskNotEmpty):
        plane.format_empty("disk", "data0")
    plane.create_empty("used", 32 * MIB)
    harness.write("used", 20 * MIB, b"precious")
    with pytest.raises(DiskNotEmpty):
        plane.format_empty("used", "data0")
    assert harness.read("used", 20 * MIB, 8) == b"precious"


@pytest.mark.parametrize("label", ["seventeen-letters", "line\nbreak", "é"])
def test_a_label_fits_the_superblock(plane: ImagePlane, label: str) -> None:
    plane.create_empty("disk", 32 * MIB)
    with pytest.raises(InvalidDiskArgument, match="label"):
        plane.format_empty("disk", label)
    assert plane.get("disk").allocated_bytes == 0


def test_deleting_twice_is_harmless(plane: ImagePlane) -> None:
    plane.create_empty("disk", MIB)
    assert plane.delete("disk") is True
    assert plane.delete("disk", missing_ok=True) is False
    assert plane.list() == ()
    plane.create_empty("disk", 2 * MIB)
    assert not plane.get("disk").frozen


@pytest.mark.needs_root
def test_a_disk_in_use_is_neither_frozen_nor_deleted(harness: Harness, plane: ImagePlane) -> None:
    _require_root(harness)
    plane.create_empty("disk", 4 * MIB)
    with harness.attached("disk", writable=True):
        calls: list[Callable[[], object]] = [
            lambda: plane.freeze("disk"),
            lambda: plane.delete("disk"),
            lambda: plane.format_empty("disk", ""),
        ]
        for call in calls:
            with pytest.raises(DiskBusy, match="attached"):
                call()
        assert plane.snapshot("disk", "snap").frozen
    plane.freeze("disk")
    with harness.attached("disk", writable=False):
        assert plane.freeze("disk")
        with pytest.raises(DiskBusy, match="attached"):
            plane.delete("disk")
    assert plane.delete("disk") is True


def test_a_base_disk_is_built_once_frozen_and_cloned(harness: Harness, plane: ImagePlane) -> None:
    assert [entry.built for entry in plane.catalogue()] == [False]
    stages: list[tuple[str, float]] = []
    base = plane.ensure_base(TINY.image, lambda stage, fraction: stages.append((stage, fraction)))
    fractions = [fraction for _stage, fraction in stages]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0
    assert base.frozen
    assert base.size_bytes == TINY.size_bytes
    assert plane.list() == ()
    assert plane.get(base.name) == base
    assert [entry.built for entry in plane.catalogue()] == [True]
    assert plane.ensure_base(TINY.image, lambda _stage, _fraction: None) == base
    assert plane.ensure_base(MarketplaceImage("Debian", "DEBIAN-12", "12", "latest"), lambda *_: None) == base
    seen = plane.inspect(base.name)
    assert (seen.filesystem, seen.os_id, seen.os_version) == ("ext4", "debian", "12")
    assert (seen.os_pretty, seen.agent_sku) == ("Tiny 12", "batch.node.debian 12")
    plane.clone(base.name, "vm-os")
    harness.write("vm-os", 60 * MIB, b"x")
    assert plane.snapshot(base.name, "snap").digest == base.digest
    with pytest.raises(DiskFrozen):
        plane.path(base.name, writable=True)


@pytest.mark.parametrize(
    "image",
    [
        MarketplaceImage("debian", "debian-12", "12", "0.0.0"),
        MarketplaceImage("debian", "debian-12", "11", "latest"),
        MarketplaceImage("canonical", "ubuntu-24_04-lts", "server", "latest"),
    ],
)
def test_an_image_that_cannot_be_had_is_refused_with_what_can(
    plane: ImagePlane, image: MarketplaceImage
) -> None:
    with pytest.raises(UnsupportedImage, match=r"it offers: debian:debian-12:12:12\.9\.1"):
        plane.ensure_base(image, lambda _stage, _fraction: None)


def test_one_of_many_wins_a_name(plane: ImagePlane) -> None:
    plane.create_empty("source", 4 * MIB)

    def attempt(_index: int) -> bool:
        try:
            plane.clone("source", "target")
        except DiskExists:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(attempt, range(16))) == 1


def test_operations_side_by_side_leave_a_sound_plane(harness: Harness, plane: ImagePlane) -> None:
    base = build_base(plane)

    def story(index: int) -> str | None:
        plane.clone(base, f"d{index}")
        harness.write(f"d{index}", 62 * MIB, b"same for all")
        plane.snapshot(f"d{index}", f"s{index}")
        plane.delete(f"d{index}")
        return plane.get(f"s{index}").digest

    with ThreadPoolExecutor(6) as pool:
        digests = set(pool.map(story, range(18)))
    assert len(digests) == 1
    assert [disk.name for disk in plane.list()] == sorted(f"s{index}" for index in range(18))
    assert plane.usage().allocated_bytes == plane.get("s0").allocated_bytes


def test_every_error_is_an_image_plane_error() -> None:
    for error in (DiskBusy, DiskExists, DiskFrozen, DiskNotEmpty, DiskNotFound, InvalidDiskArgument):
        assert issubclass(error, ImagePlaneError)


def _require_root(harness: Harness) -> None:
    if isinstance(harness, RawHarness) and os.geteuid() != 0:
        pytest.skip("needs root: a loop device is attached to the disk")
