"""A process killed at any step of any operation leaves nothing that recover() does not put right."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from poolwright.images.base import DiskExists, DiskNotFound
from poolwright.images.digest import digest_file
from poolwright.images.raw import RawImagePlane
from tests.contract.images.harness import MIB, TINY, RawHarness, tiny_plane
from tests.contract.images.killed import OPERATIONS

ROOT = Path(__file__).parents[3]
BEFORE = ["blank", "far", "far-twin", "formatted", "source", "twin"]
MAKES = {"create", "clone", "import", "snapshot", "snapshot-of-frozen"}
MAKES |= {"create-elsewhere", "clone-elsewhere", "snapshot-elsewhere"}
REMOVES = {"delete": "source", "delete-elsewhere": "far", "delete-frozen": "twin"}


def prepare(root: Path) -> None:
    """`twin` is frozen and has the content of `source`, so that freezing that one finds a file to share.

    `far` and `far-twin` are the same pair in the directory of another storage class.
    """
    harness = RawHarness(tiny_plane(root), root)
    harness.plane.create_empty("blank", 32 * MIB)
    harness.plane.create_empty("formatted", 32 * MIB)
    harness.plane.format_empty("formatted", "data")
    harness.plane.create_empty("source", 8 * MIB)
    harness.write("source", 3 * MIB, b"content")
    harness.plane.snapshot("source", "twin")
    harness.plane.at("fast").clone("source", "far")
    harness.plane.at("fast").snapshot("source", "far-twin")


def run(root: Path, operation: str, step: str) -> tuple[int, list[str]]:
    argv = [sys.executable, "-m", "tests.contract.images.killed", str(root), operation, step]
    done = subprocess.run(argv, check=False, capture_output=True, text=True, timeout=60, cwd=ROOT)
    assert done.returncode in (0, -signal.SIGKILL), done.stderr
    return done.returncode, done.stdout.split()


def check_sound(plane: RawImagePlane, root: Path) -> None:
    """Every disk is wholly writable or wholly frozen, and nothing else is there."""
    for disk in plane.list():
        mode = disk.path.stat().st_mode & 0o777
        if disk.frozen:
            assert (mode, disk.digest) == (0o444, digest_file(disk.path)), disk
        else:
            assert mode == 0o600, disk
    assert RawHarness(plane, root).leftovers() == []
    for content in (root / "content", *root.glob("fast/*/content")):
        links = {path.stat().st_ino for path in content.iterdir()}
        disks = (disk for disk in plane.list() if disk.path.is_relative_to(content.parent))
        assert links <= {disk.path.stat().st_ino for disk in disks if disk.frozen}
    assert plane.recover().clean


@pytest.mark.parametrize("operation", OPERATIONS)
def test_killed_at_every_step(operation: str, tmp_path: Path) -> None:
    prepare(tmp_path / "whole")
    code, steps = run(tmp_path / "whole", operation, "-")
    assert code == 0
    assert len(steps) >= 2, "an operation without steps is not tested"
    assert len(steps) == len(set(steps))
    check_sound(tiny_plane(tmp_path / "whole"), tmp_path / "whole")
    for step in steps:
        root = tmp_path / step.replace(":", "-")
        prepare(root)
        assert run(root, operation, step) == (-signal.SIGKILL, steps[: steps.index(step) + 1])
        plane = tiny_plane(root)
        plane.recover()
        check_sound(plane, root)
        names = [disk.name for disk in plane.list()]
        finish(plane, operation, names)
        check_sound(plane, root)


def finish(plane: RawImagePlane, operation: str, names: list[str]) -> None:
    """The operation happened or it did not; doing it again ends in the same state either way."""
    if operation in MAKES:
        assert names in (BEFORE, sorted([*BEFORE, "new"]))
        try:
            OPERATIONS[operation](plane)
        except DiskExists:
            assert "new" in names
        assert plane.get("new").frozen == operation.startswith("snapshot")
        assert ("/fast/" in str(plane.path("new"))) == operation.endswith("-elsewhere")
    elif operation in REMOVES:
        gone = REMOVES[operation]
        assert names in (BEFORE, [name for name in BEFORE if name != gone])
        plane.delete(gone, missing_ok=True)
        with pytest.raises(DiskNotFound):
            plane.get(gone)
    else:
        assert names == BEFORE
    if operation == "freeze-elsewhere":
        assert plane.freeze("far") == plane.get("far-twin").digest
    if operation == "freeze":
        assert plane.freeze("source") == plane.get("twin").digest
    if operation == "format":
        if plane.inspect("blank").filesystem is None:
            plane.format_empty("blank", "data")
        assert plane.inspect("blank").label == "data"
    if operation == "grow":
        plane.resize("formatted", 64 * MIB, grow_filesystem=True)
        assert plane.inspect("formatted").label == "data"
    if operation == "base":
        base = plane.ensure_base(TINY.image, lambda _stage, _fraction: None)
        assert base.digest == digest_file(base.path)


def test_a_disk_cut_off_while_freezing_is_the_callers_again(tmp_path: Path) -> None:
    prepare(tmp_path)
    run(tmp_path, "freeze", "freeze:sealed")
    plane = tiny_plane(tmp_path)
    assert plane.recover().thawed == ("source",)
    assert not plane.get("source").frozen
    assert plane.resize("source", 16 * MIB).size_bytes == 16 * MIB
