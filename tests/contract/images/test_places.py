"""Storage classes with directories of their own: what goes where, and what happens when a directory is not there."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from poolwright.images.base import DiskAway, DiskNotFound, NoSpace, PlaceAway, PlaceUnusable
from poolwright.images.digest import digest_file
from poolwright.images.raw import RawImagePlane
from tests.contract.images.harness import MIB
from tests.support.small_disk import fill, small_disk


def opened(root: Path, classes: Mapping[str, Path]) -> RawImagePlane:
    plane = RawImagePlane(root, classes=classes)
    plane.recover()
    return plane


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own, as a fast disk has."""
    with small_disk(tmp_path / "volume", 64) as place:
        yield place


def test_disks_live_on_the_file_system_of_their_class_and_stay_there(tmp_path: Path, disk: Path) -> None:
    plane = opened(tmp_path / "plane", {"fast": disk})
    plane.create_empty("slow", 8 * MIB)
    plane.write("slow", MIB, b"bytes")
    digest = plane.snapshot("slow", "slow-frozen").digest
    for name, made in (
        ("clone", plane.at("fast").clone("slow", "clone")),
        ("frozen", plane.at("fast").snapshot("slow-frozen", "frozen")),
        ("blank", plane.at("fast").create_empty("blank", 8 * MIB)),
        ("other", plane.at("unmapped").create_empty("other", 8 * MIB)),
    ):
        inside = name != "other"
        assert (os.stat(made.path).st_dev == os.stat(disk).st_dev) == inside, name
        assert made.path.is_relative_to(disk) == inside
    assert plane.get("frozen").digest == digest == digest_file(plane.path("frozen"))
    plane.at("fast").snapshot("clone", "twin")
    assert os.path.samefile(plane.path("twin"), plane.path("frozen")), (
        "equal frozen disks of a class are one file"
    )
    assert plane.read("clone", MIB, 5) == b"bytes"
    assert plane.resize("blank", 16 * MIB).path.is_relative_to(disk)
    back = plane.at(None).clone("frozen", "back")
    assert not back.path.is_relative_to(disk)

    later = opened(tmp_path / "plane", {"fast": tmp_path})  # mapped elsewhere: what is there stays
    assert {info.name for info in later.list()} == {info.name for info in plane.list()}
    assert later.path("clone").is_relative_to(disk)
    assert later.at("fast").clone("clone", "new").path.parents[3] == tmp_path
    for name in ("clone", "frozen", "twin", "blank"):
        assert later.delete(name)
    assert not [path for path in disk.rglob("*") if path.is_file() and path.name != "place.json"]
    opened(tmp_path / "plane", {})
    assert not list(disk.glob("poolwright-*")), "a directory that holds nothing and is not mapped is left"


def test_an_unmounted_file_system_is_neither_an_empty_one_nor_written_beneath(tmp_path: Path) -> None:
    with small_disk(tmp_path / "volume", 64) as place:
        plane = opened(tmp_path / "plane", {"fast": place})
        plane.at("fast").create_empty("disk", 8 * MIB)
        image = tmp_path / "volume" / "small.img"
        subprocess.run(["umount", str(place)], check=True)
        try:
            for use in (plane.get, plane.path, plane.delete, plane.freeze):
                with pytest.raises(DiskAway, match=rf"'disk' cannot be reached: the directory {place}"):
                    use("disk")
            with pytest.raises(DiskAway):
                plane.delete("disk", missing_ok=True)
            with pytest.raises(PlaceAway):
                plane.list()
            with pytest.raises(PlaceAway, match="is its file system mounted"):
                plane.at("fast").create_empty("new", 8 * MIB)
            plane.create_empty("unconcerned", 8 * MIB)
            with pytest.raises(PlaceUnusable, match="does not hold the disks"):
                opened(tmp_path / "plane", {"fast": place})
            unmapped = opened(tmp_path / "plane", {})
            with pytest.raises(DiskAway):
                unmapped.get("disk")
            assert not list(place.iterdir()), "nothing is written where the file system is not"
        finally:
            subprocess.run(["mount", "-o", "loop", str(image), str(place)], check=True)
        assert plane.get("disk").size_bytes == 8 * MIB
        assert unmapped.get("disk").size_bytes == 8 * MIB
        assert plane.delete("disk")
        with pytest.raises(DiskNotFound):
            plane.get("disk")


def test_a_full_file_system_of_a_class_is_told_by_its_directory(tmp_path: Path, disk: Path) -> None:
    plane = opened(tmp_path / "plane", {"fast": disk})
    plane.create_empty("source", 16 * MIB)
    plane.write("source", 0, os.urandom(8 * MIB))
    fill(disk, 2)
    with pytest.raises(NoSpace, match=str(disk)):
        plane.at("fast").clone("source", "copy")
    assert [info.name for info in plane.list()] == ["source"]
    assert not list(disk.glob("*/tmp/*"))


def test_a_directory_that_cannot_be_used_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(
        PlaceUnusable, match=r"missing of storage class fast cannot be used: there is no such"
    ):
        opened(tmp_path / "plane", {"fast": tmp_path / "missing"})
    with small_disk(tmp_path / "volume", 16) as place:
        subprocess.run(["mount", "-o", "remount,ro", str(place)], check=True)
        with pytest.raises(PlaceUnusable, match="cannot be written: Read-only file system"):
            opened(tmp_path / "plane", {"fast": place})
