"""What nodes store things on besides their image: disks of their own, and places mounted into them."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from poolwright.engines.base import DiskMount, NodeMount, OwnDisk, Rejected
from poolwright.engines.sandbox.host import loopdev
from tests.contract.engines.rig import Rig, node
from tests.contract.engines.test_sandbox import ADMIN, made, out
from tests.support import guest, guest_init

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


async def test_disks_of_a_node_lie_in_the_directory_of_their_type_and_go_with_it(
    rig: Rig, image: Path, tmp_path: Path
) -> None:
    fast = tmp_path / "fast" / "nodes"
    fast.mkdir(parents=True)
    wanted = {"own_disks": (OwnDisk(None, 64 * MIB, str(fast)), OwnDisk(3, GIB, str(fast)), OwnDisk(4, GIB))}
    await made(rig, node("a", image, **wanted))
    await out(rig, "a", "e1", "echo mine > /mnt/disks/lun3/kept")
    disks = {path.name: str(path) for path in fast.glob("a.*/*")}
    assert disks.keys() == {"root.img", "lun3.img"}
    assert loopdev.users_of(disks["lun3.img"])
    await rig.engine.delete(["a"], keep_storage=True)
    assert not loopdev.users_of(disks["lun3.img"])

    # Mapped elsewhere since: what is there stays. A file system that is not mounted is not written beneath.
    moved = {"own_disks": tuple(replace(disk, place="") for disk in wanted["own_disks"])}
    fast.rename(away := tmp_path / "away")
    [refused] = await rig.engine.create([node("a", image, fence=2, **moved)])
    assert "where disks of nodes are kept, is not there" in str(refused)
    assert not fast.exists()
    away.rename(fast)
    await made(rig, node("a", image, fence=3, **moved))
    assert await out(rig, "a", "e2", "cat /mnt/disks/lun3/kept", fence=3) == "mine\n"
    await rig.engine.delete(["a"])
    assert list(fast.iterdir()) == []


async def test_disks_elsewhere_outlive_a_kill_only_as_long_as_their_node_is_in_the_trash(
    rig: Rig, image: Path, tmp_path: Path
) -> None:
    fast = tmp_path / "fast" / "nodes"
    fast.mkdir(parents=True)
    await made(rig, node("a", image, own_disks=(OwnDisk(3, GIB, str(fast)),)))
    await rig.engine.delete(["a"], keep_storage=True)
    await rig.agent.stop()
    (rig.data_dir / "nodes" / "a").rename(rig.data_dir / "nodes" / ".trash" / "killed-here")
    rig.agent.start(again=False)
    trash = rig.data_dir / "nodes" / ".trash"
    await rig.until(lambda: not [*fast.iterdir(), *trash.iterdir()], "the removal of both")


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


def lent(directory: Path, path: str, **more: Any) -> NodeMount:
    seen = directory.stat()
    return NodeMount(path, "directory", str(directory), device=seen.st_dev, inode=seen.st_ino, **more)


async def test_exported_directories_are_shared_with_the_pool_user_as_their_owner(
    rig: Rig, image: Path, tmp_path: Path
) -> None:
    shared = tmp_path / "shared"
    (shared / "scenes").mkdir(parents=True)
    (shared / "scenes" / "one").write_text("scene\n")
    (shared / "out").symlink_to("/etc")
    for path in (shared, shared / "scenes", shared / "scenes" / "one"):
        os.chown(path, 4711, 4712)
    mounts = (lent(shared, "deep/rw"), lent(shared, "ro", inside="scenes", read_only=True))
    machines = await made(rig, node("a", image, mounts=mounts), node("b", image, mounts=mounts))
    assert [machine.troubles for machine in machines] == [(), ()]
    base = "/mnt/batch/tasks/fsmounts"
    await out(
        rig, "a", "e1", f"cd {base}/deep/rw; cat scenes/one; echo made > here; mkdir d; chmod 4755 here"
    )
    assert (
        await out(rig, "b", "e2", f"cat {base}/deep/rw/here; stat -c %u:%g {base}/deep/rw/here")
        == "made\n1500:1500\n"
    )
    made_here = (shared / "here").stat()
    assert (made_here.st_uid, made_here.st_gid) == (4711, 4712)
    # The node's root is nobody in particular on the host: never its root.
    denied = await rig.run("a", "e3", f"sh -c 'echo x > {base}/ro/new'", user=ADMIN)
    assert denied["exit_code"] != 0
    await out(
        rig,
        "a",
        "e4",
        f"mkdir {base}/deep/rw/d/by-root || true; cat {base}/deep/rw/out/shadow || true",
        user=ADMIN,
    )
    assert not any(path.stat().st_uid == 0 for path in shared.rglob("*") if not path.is_symlink())
    assert "deep/rw: mounted" in await rig.text("a", "fsmounts/fshare-deep-rw.log")
    await rig.engine.delete(["a", "b"])
    assert (shared / "scenes" / "one").read_text() == "scene\n"


async def test_a_mount_that_fails_is_a_trouble_with_cause_and_next_step(
    rig: Rig, image: Path, tmp_path: Path
) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    (shared / "link").symlink_to("/etc")
    mounts = (
        lent(shared, "out", inside="link"),
        lent(shared, "up", inside="sub/../../.."),
        replace(lent(shared, "other"), inode=1),
        NodeMount("gone", "none", "no longer exported"),
        NodeMount("nfs", "nfs", "192.0.2.1:/export"),
        lent(shared, "good"),
    )
    [machine] = await made(rig, node("a", image, mounts=mounts))
    causes = {dict(trouble.details)["Path"]: trouble.message for trouble in machine.troubles}
    assert set(causes) == {"out", "up", "other", "gone", "nfs"}
    assert {trouble.code for trouble in machine.troubles} == {"MountConfigurationError"}
    assert "another one than when the service started" in causes["other"]
    assert all("reboot the node" in message for message in causes.values())
    assert "failed: " in await rig.text("a", "fsmounts/fshare-nfs.log")
    await out(rig, "a", "e1", "test -d /mnt/batch/tasks/fsmounts/good")
    [listed] = await rig.engine.machines()
    assert listed.troubles == machine.troubles


def test_a_real_nfs_export_is_mounted_under_a_kernel_that_has_server_and_client() -> None:
    reason = guest.why_not()
    if reason is not None:
        pytest.skip(f"no real NFS: {reason}")
    story = Path(__file__).parent / "nfs_in_a_guest.py"
    code, said = guest.run(
        sys.executable,
        "-B",
        "-P",
        "-m",
        "pytest",
        "-q",
        "-n",
        "0",
        "-o",
        f"cache_dir={guest_init.SCRATCH}/cache",
        str(story),
    )
    assert code == 0, said
    assert "1 passed" in said


def told(rig: Rig, machine: str) -> list[str] | None:
    """Codes of the newest word on the machine's health."""
    words = [item for item in rig.events if item["t"] == "health" and item["name"] == machine]
    return [trouble["code"] for trouble in words[-1]["troubles"]] if words else None


async def test_a_full_root_and_a_lost_mount_are_told_and_room_again_too(
    rig: Rig, image: Path, tmp_path: Path
) -> None:
    shared = tmp_path / "shared"
    (shared / "in").mkdir(parents=True)
    bounded = (OwnDisk(None, 32 * MIB),)
    await made(
        rig, node("a", image, own_disks=bounded), node("b", image, mounts=(lent(shared, "m", inside="in"),))
    )
    await rig.run("a", "e1", "sh -c 'dd if=/dev/zero of=/big bs=1M count=64'", user=ADMIN)
    (shared / "in").rmdir()
    await rig.until(lambda: told(rig, "a") == ["DiskFull"], "word of the full root")
    await rig.until(lambda: told(rig, "b") == ["MountConfigurationError"], "word of the lost mount")
    await rig.agent.stop()  # a new host agent hears it again from the machines
    rig.agent.start()
    await rig.until(lambda: len(rig.hellos) > 1, "another hello")
    troubles = {machine["name"]: machine["troubles"] for machine in rig.hellos[-1]["machines"]}
    assert [trouble["code"] for trouble in troubles["a"]] == ["DiskFull"]
    assert "was deleted" in troubles["b"][0]["message"]
    await rig.run("a", "e2", "rm /big", user=ADMIN)
    await rig.until(lambda: told(rig, "a") == [], "word of room again")
