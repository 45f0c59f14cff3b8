"""A service whose disk gets full, on a real small file system: intake stops, then nodes; all comes back with room."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from azure.batch import models as batch
from azure.core.exceptions import HttpResponseError

from tests.e2e.service.live import Live
from tests.support.small_disk import fill, small_disk
from tests.support.waiting import wait_until


@pytest.fixture
def cramped(tmp_path: Path) -> Iterator[tuple[Live, Path]]:
    """A service that keeps 64 MiB of a disk of 320 MiB free."""
    with small_disk(tmp_path, 320) as place:
        made = Live(place)
        try:
            made.start("--reserve-disk", "64")
            yield made, place
        finally:
            made.close()


def refused(call: object) -> str:
    with pytest.raises(HttpResponseError) as error:
        call()  # type: ignore[operator]
    assert error.value.error is not None
    assert error.value.error.code == "HostDiskFull"
    return str(error.value)


def test_a_full_disk_stops_intake_then_nodes_and_recovers(cramped: tuple[Live, Path]) -> None:
    live, place = cramped
    live.idle_pool(dedicated=1, slots=1)
    live.job()
    live.task(
        "long",
        "test -e $AZ_BATCH_NODE_SHARED_DIR/seen || { touch $AZ_BATCH_NODE_SHARED_DIR/seen; sleep 600; }",
    )
    live.wait_task("long", "running")

    # Little room: nothing new is taken in; what runs goes on, reads and deletes are served, growth waits and says so.
    first = fill(place, 48)
    said = refused(lambda: live.task("more", "true"))
    assert "64 MiB are kept" in said
    assert "Free space on the host" in said
    refused(lambda: live.job("other"))
    refused(lambda: live.pool("other", dedicated=0))
    group = live.clients.resources.resource_groups
    group.create_or_update("lab", {"location": "local"})
    disk: Any = {"location": "local", "disk_size_gb": 1, "creation_data": {"create_option": "Empty"}}
    refused(lambda: live.clients.compute.disks.begin_create_or_update("lab", "d", disk))
    live.batch.begin_resize_pool("pool", batch.BatchPoolResizeOptions(target_dedicated_nodes=2))
    wait_until(
        lambda: "no new machine is made" in live.why("pools", "pool"), 30, lambda: live.why("pools", "pool")
    )
    assert live.state("long") == "running"
    assert live.states() == {"running": 1}

    # Less: nodes stop before the service's own records are in danger.
    second = fill(place, 16)
    live.wait_nodes("pool", {"unusable": 1})
    given_back = live.wait_task("long", "active")
    assert given_back["executionInfo"]["requeueCount"] == 0, "nobody asked for it"
    node = next(iter(live.batch.list_nodes("pool")))
    assert [error["code"] for error in node["errors"]] == ["DiskFull"]
    assert "to protect the service's records" in live.why("jobs", "job", "tasks", "long")

    # Room again: everything goes on by itself.
    first.unlink()
    second.unlink()
    done = live.wait_task("long", "completed")
    assert done["executionInfo"]["exitCode"] == 0
    live.wait_nodes("pool", {"idle": 2})
    live.task("more", "true")
    live.wait_task("more", "completed")


@pytest.fixture
def classed(tmp_path: Path) -> Iterator[tuple[Live, Path]]:
    """A service that has a disk of 400 MiB for Premium_LRS, and keeps 64 MiB of each disk free."""
    with small_disk(tmp_path, 400) as place:
        made = Live(tmp_path)
        try:
            made.start("--reserve-disk", "64", "--storage-class", f"Premium_LRS={place}")
            yield made, place
        finally:
            made.close()


def test_a_full_storage_class_stops_its_own_nodes_only(classed: tuple[Live, Path]) -> None:
    live, place = classed
    premium: Any = batch.ManagedDisk(storage_account_type="premium_lrs")
    machine = {"os_disk": batch.BatchOsDisk(managed_disk=premium)}
    live.idle_pool(dedicated=1, slots=1, machine=machine)
    live.job()
    live.task("writes", "dd if=/dev/zero of=/var/tmp/much bs=1M count=80 status=none; sync; sleep 600")
    wait_until(lambda: used(place) > 80, 30, lambda: f"{used(place)} MiB of {place}: it has an OS disk there")
    live.idle_pool("elsewhere", dedicated=1)

    first = fill(place, 48)
    said = refused(lambda: live.pool("other", dedicated=0, machine=machine))
    assert str(place) in said
    assert "64 MiB are kept" in said
    live.pool("plain", dedicated=0)
    live.batch.begin_resize_pool("pool", batch.BatchPoolResizeOptions(target_dedicated_nodes=2))
    wait_until(
        lambda: "no new machine is made" in live.why("pools", "pool"), 30, lambda: live.why("pools", "pool")
    )
    assert live.state("writes") == "running"

    second = fill(place, 16)
    live.wait_nodes("pool", {"unusable": 1})
    live.wait_task("writes", "active")
    (node,) = live.batch.list_nodes("pool")
    (error,) = node["errors"]
    assert error["code"] == "DiskFull"
    assert str(place) in error["message"]
    assert live.states("elsewhere") == {"idle": 1}

    first.unlink()
    second.unlink()
    live.wait_nodes("pool", {"idle": 1, "running": 1})


def used(place: Path) -> int:
    """MiB of its file system that are in use."""
    found = os.statvfs(place)
    return (found.f_blocks - found.f_bfree) * found.f_frsize >> 20


def _has_begun(place: Path) -> bool:
    try:
        return any(place.rglob("shared/seen"))
    except FileNotFoundError:  # what a starting node makes and removes while it is looked through
        return False


def test_a_start_task_that_runs_on_a_full_disk_ends_and_runs_again_with_room(
    cramped: tuple[Live, Path],
) -> None:
    live, place = cramped
    seen = "$AZ_BATCH_NODE_SHARED_DIR/seen"
    line = f"/bin/sh -c 'test -e {seen} || {{ touch {seen}; sleep 600; }}'"
    live.pool(dedicated=1, start_task=batch.BatchStartTask(command_line=line, wait_for_success=True))
    live.wait_nodes("pool", {"waitingforstarttask": 1})
    wait_until(lambda: _has_begun(place), 30, "the start task has not begun")
    full = fill(place, 16)
    live.wait_nodes("pool", {"unusable": 1})
    (node,) = live.batch.list_nodes("pool")
    assert [error["code"] for error in node["errors"]] == ["DiskFull"]
    full.unlink()
    live.wait_nodes("pool", {"idle": 1})
    (node,) = live.batch.list_nodes("pool")
    info = node["startTaskInfo"]
    assert (info["state"], info["exitCode"], info["retryCount"]) == ("completed", 0, 0)
