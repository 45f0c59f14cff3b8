"""The faults the fake plane has on order; what it shares with real planes is in the contract suite."""

from __future__ import annotations

import pytest

from poolwright.images.base import BuildFailed, DiskNotFound, NoSpace
from poolwright.images.fake import DEBIAN_12, FakeImagePlane

MIB = 1024**2


def test_a_fault_comes_once_and_instead_of_the_act() -> None:
    plane = FakeImagePlane()
    plane.fail_next("create_empty", BuildFailed("mke2fs", "boom"))
    with pytest.raises(BuildFailed, match="boom"):
        plane.create_empty("disk", MIB)
    assert plane.list() == ()
    assert plane.create_empty("disk", MIB).size_bytes == MIB


def test_a_fault_after_the_act_leaves_the_act_done() -> None:
    plane = FakeImagePlane()
    plane.create_empty("disk", MIB)
    plane.fail_next("delete", OSError("connection lost"), after=True)
    with pytest.raises(OSError, match="connection lost"):
        plane.delete("disk")
    with pytest.raises(DiskNotFound):
        plane.get("disk")


def test_faults_come_in_the_order_they_were_asked_for() -> None:
    plane = FakeImagePlane()
    for word in ("one", "two"):
        plane.fail_next("list", ValueError(word))
    for word in ("one", "two"):
        with pytest.raises(ValueError, match=word):
            plane.list()
    assert plane.list() == ()


def test_a_fault_for_an_operation_that_does_not_exist_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="no operation 'explode'"):
        FakeImagePlane().fail_next("explode", ValueError())


def test_it_can_be_full() -> None:
    plane = FakeImagePlane(capacity_bytes=3 * MIB)
    plane.create_empty("disk", 1024 * MIB)
    plane.write("disk", 0, b"x" * 2 * MIB)
    with pytest.raises(NoSpace, match="making disk copy"):
        plane.clone("disk", "copy")
    assert [disk.name for disk in plane.list()] == ["disk"]


def test_it_remembers_what_it_was_asked() -> None:
    plane = FakeImagePlane()
    plane.ensure_base(DEBIAN_12.image, lambda _stage, _fraction: None)
    plane.create_empty("disk", MIB)
    assert plane.calls == [("ensure_base", DEBIAN_12.image.urn), ("create_empty", "disk")]
