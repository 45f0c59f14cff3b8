"""Pools whose nodes have disks of their own and directories of the host, through the official SDK."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from azure.batch import models as batch
from azure.batch.models._models import BatchNodeRebootOptions  # the client's own package forgets to export it

from tests.e2e.service.live import POLL, Live
from tests.support.waiting import wait_until


def mount(source: str, path: str) -> batch.MountConfiguration:
    given = batch.NfsMountConfiguration(source=source, relative_mount_path=path)
    return batch.MountConfiguration(nfs_mount_configuration=given)


def only_node(live: Live, pool: str) -> Any:
    return next(iter(live.batch.list_nodes(pool)))


def test_disks_and_an_exported_directory(live: Live, tmp_path: Path) -> None:
    scenes = tmp_path / "scenes"
    scenes.mkdir()
    os.chown(scenes, 4711, 4711)
    live.start_again("--export", f"scenes={scenes}")
    machine = {
        "data_disks": [batch.DataDisk(logical_unit_number=5, disk_size_gb=3)],
        "os_disk": batch.BatchOsDisk(disk_size_gb=30),
    }
    live.idle_pool(
        dedicated=1, machine=machine, mount_configuration=[mount("poolwright:scenes", "in/scenes")]
    )
    live.job()
    live.task(
        "write",
        "set -e; df -BG /mnt/disks/lun5 / | tail -n 2; echo kept > /mnt/disks/lun5/kept;"
        " echo frame > $AZ_BATCH_NODE_MOUNTS_DIR/in/scenes/frame",
    )
    done = live.wait_task("write", "completed")
    assert done["executionInfo"]["exitCode"] == 0, live.output("write", name="stderr.txt")
    assert (scenes / "frame").read_text() == "frame\n"
    assert (scenes / "frame").stat().st_uid == 4711
    node = str(only_node(live, "pool")["id"])
    live.batch.begin_reboot_node(
        "pool", node, BatchNodeRebootOptions(node_reboot_kind="requeue"), **POLL
    ).result()
    live.wait_nodes("pool", {"idle": 1})
    live.task("read", "cat /mnt/disks/lun5/kept $AZ_BATCH_NODE_MOUNTS_DIR/in/scenes/frame")
    live.wait_task("read", "completed")
    assert live.output("read") == "kept\nframe\n"

    # A mount that cannot be: the node says why and what to do, and its log lies beside the mounts.
    live.pool(id="lost", dedicated=1, mount_configuration=[mount("poolwright:scenes/nothing", "gone")])
    live.wait_nodes("lost", {"unusable": 1})
    broken = only_node(live, "lost")
    [error] = broken["errors"]
    assert error["code"] == "MountConfigurationError"
    assert {detail["name"] for detail in error["errorDetails"]} >= {"Cause", "NextStep"}
    assert "nothing inside the exported directory" in live.why("pools", "lost", "nodes", str(broken["id"]))
    log = b"".join(live.batch.download_node_file("lost", str(broken["id"]), "fsmounts/fshare-gone.log"))
    assert b"failed: nothing" in log
    (scenes / "nothing").mkdir()
    live.batch.begin_reboot_node(
        "lost", str(broken["id"]), BatchNodeRebootOptions(node_reboot_kind="requeue"), **POLL
    ).result()
    wait_until(lambda: live.states("lost") == {"idle": 1}, 60, lambda: f"{only_node(live, 'lost')}")
