"""What nodes store things on besides their image: disks of their own, and places mounted into them."""

from __future__ import annotations

from pathlib import Path

import pytest

from poolwright.engines.base import DiskMount, OwnDisk, Rejected
from poolwright.engines.sandbox.host import loopdev
from tests.contract.engines.rig import Rig, node
from tests.contract.engines.test_sandbox import ADMIN, made, out

pytestmark = pytest.mark.needs_root

GIB = 1 << 30
MIB = 1 << 20


async def test_own_disks_are_empty_thin_and_live_as_long_as_their_node(rig: Rig, image: Path) -> None:
    data = image.parent / "data.raw"
    wanted = {"data_disks": (DiskMount(0, str(data)),), "own_disks": (OwnDisk(3, 40 * GIB),)}
    await made(rig, node("a", image, **wanted), node("b", image, **wanted))
    assert await out(rig, "a", "e1", "ls -A /mnt/disks/lun3; ls /mnt/disks") == "lun0\nlun3\n"
    await out(rig, "a", "e2", "echo mine > /mnt/disks/lun3/kept")  # a task without special rights
    assert await out(rig, "b", "e3", "ls -A /mnt/disks/lun3") == ""
    disk = rig.data_dir / "nodes/a/disks/lun3.img"
    assert disk.stat().st_size == 40 * GIB
    assert disk.stat().st_blocks * 512 < 32 * MIB
    assert len(loopdev.users_of(str(disk))) == 1

    await rig.engine.delete(["a"], keep_storage=True)
    assert loopdev.users_of(str(disk)) == []
    await made(rig, node("a", image, fence=2, **wanted))
    assert await out(rig, "a", "e4", "cat /mnt/disks/lun3/kept", fence=2) == "mine\n"
    await rig.engine.delete(["a"])
    assert not disk.exists()
    await made(rig, node("a", image, fence=3, **wanted))
    assert await out(rig, "a", "e5", "ls -A /mnt/disks/lun3", fence=3) == ""


async def test_a_bounded_root_takes_no_more_and_keeps_what_it_has(rig: Rig, image: Path) -> None:
    wanted = {"own_disks": (OwnDisk(None, 64 * MIB),)}
    await made(rig, node("a", image, **wanted))
    await out(rig, "a", "e1", "echo kept > /kept", user=ADMIN)
    filled = await rig.run("a", "e2", "sh -c 'dd if=/dev/zero of=/big bs=1M count=200'", user=ADMIN)
    assert filled["exit_code"] == 1
    assert "No space left" in await rig.text("a", "workitems/j/job-1/e2/stderr.txt")
    assert await out(rig, "a", "e3", "cat /kept; stat -c %s /bin/true") != ""
    await out(
        rig, "a", "e4", "dd if=/dev/zero of=$AZ/free bs=1M count=80", env={"AZ": "/mnt/batch/tasks/shared"}
    )
    await rig.engine.delete(["a"], keep_storage=True)
    await made(rig, node("a", image, fence=2, **wanted))
    assert await out(rig, "a", "e5", "rm /big; cat /kept", user=ADMIN, fence=2) == "kept\n"


async def test_own_disks_that_cannot_be_are_refused(rig: Rig, image: Path) -> None:
    same = node("x", image, data_disks=(DiskMount(1, str(image)),), own_disks=(OwnDisk(1, GIB),))
    small = node("y", image, own_disks=(OwnDisk(0, 4096),))
    outcomes = await rig.engine.create([same, small])
    assert [type(outcome) for outcome in outcomes] == [Rejected, Rejected]
    assert "different" in str(outcomes[0])
    assert "size_bytes 4096" in str(outcomes[1])
