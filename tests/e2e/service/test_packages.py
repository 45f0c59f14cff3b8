"""Application packages from the uploader's hands to programs that tasks run."""

from __future__ import annotations

import io
import zipfile
from typing import Any

import pytest
from azure.batch import models as batch
from azure.batch.models._models import BatchNodeRebootOptions as Reboot  # not exported by its own package
from azure.core.exceptions import HttpResponseError
from azure.storage.blob import BlobClient

from tests.e2e.service.live import POLL, Live
from tests.support.waiting import wait_until

AT_ONCE = Reboot(node_reboot_kind="requeue")


def archive(says: str, **more: bytes) -> bytes:
    """A package with a program that says something; made as on Windows, where files have no modes."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("bin/tool", f"#!/bin/sh\necho {says} $(cat $(dirname $0)/../data)\n")
        made.writestr("data", says)
        made.infolist()[0].external_attr = 0
        for name, content in more.items():
            made.writestr(name, content)
    return data.getvalue()


class Desk:
    """The management client of a live service's account."""

    def __init__(self, live: Live) -> None:
        self.account = live.ready.account_name
        self.client: Any = live.clients.accounts
        (found,) = self.client.batch_account.list()
        self.group = str(found.id).split("/")[4]

    def application(self, name: str, **properties: Any) -> Any:
        return self.client.application.create(self.group, self.account, name, {"properties": properties})

    def upload(self, name: str, version: str, data: bytes) -> None:
        """The three steps of every uploader."""
        made = self.client.application_package.create(self.group, self.account, name, version, {})
        with BlobClient.from_blob_url(made.storage_url) as blob:
            blob.upload_blob(data)
        self.client.application_package.activate(self.group, self.account, name, version, {"format": "zip"})


def reference(name: str, version: str | None = None) -> batch.BatchApplicationPackageReference:
    return batch.BatchApplicationPackageReference(application_id=name, version=version)


RUN = "$AZ_BATCH_APP_PACKAGE_%s/bin/tool"


def ends(live: Live, *tasks: str) -> list[Any]:
    live.wait_completed(len(tasks), "job")
    found = [live.batch.get_task("job", task)["executionInfo"] for task in tasks]
    return [
        end.get("failureInfo", {}).get("code") or live.output(task)
        for task, end in zip(tasks, found, strict=True)
    ]


def test_programs_come_with_the_pool_and_with_tasks(live: Live) -> None:
    desk = Desk(live)
    desk.application("render", displayName="Render farm")
    desk.application("helper")
    desk.upload("render", "1.0", archive("one"))
    desk.upload("helper", "2-b", archive("two", **{"more.txt": b"x" * 3_000_000}))
    with pytest.raises(HttpResponseError) as refused:
        live.pool(application_package_references=[reference("render"), reference("none", "1")])
    assert refused.value.status_code == 409
    assert "InvalidApplicationPackageReferences" in str(refused.value)
    desk.client.application.update(
        desk.group, desk.account, "render", {"properties": {"defaultVersion": "1.0"}}
    )
    start = f"/bin/sh -c '{RUN % 'render'} > $AZ_BATCH_NODE_SHARED_DIR/start'"
    live.pool(
        dedicated=1,
        application_package_references=[reference("render")],
        start_task=batch.BatchStartTask(command_line=start),
    )
    live.kill_service()
    live.start()
    desk = Desk(live)
    live.wait_nodes("pool", {"idle": 1})
    assert live.ledger(name="shared/start") == ["one", "one"], "packages come before the start task"

    live.job()
    names = ("render", "RENDER_1_0", "render_1_0")
    live.task("pools", " && ".join(RUN % name for name in names))
    live.task(
        "own",
        f"{RUN % 'helper_2_b'}; touch $AZ_BATCH_APP_PACKAGE_HELPER_2_B/x || echo sealed",
        application_package_references=[reference("helper", "2-b")],
    )
    live.task("none", "true", application_package_references=[reference("helper")])
    live.task("bare", "env | grep -i helper || true")
    assert ends(live, "pools", "own", "none", "bare") == [
        "one one\n" * 3,
        "two two\nsealed\n",
        "ApplicationPackageError",
        "",
    ]

    (node,) = live.batch.list_nodes("pool")
    desk.upload("render", "1.0", archive("new"))
    live.task("still", RUN % "render")
    assert ends(live, "pools", "own", "none", "bare", "still")[-1] == "one one\n", (
        "nodes follow when they restart"
    )
    live.batch.begin_reboot_node("pool", node.id, AT_ONCE, **POLL).result()
    live.wait_nodes("pool", {"idle": 1})
    assert live.ledger(name="shared/start") == ["new", "new"]


def test_a_node_without_its_package_says_so_and_waits_for_a_reboot(live: Live) -> None:
    desk = Desk(live)
    desk.application("render")
    desk.upload("render", "1", archive("one"))
    live.idle_pool(dedicated=1, application_package_references=[reference("render", "1")])
    (node,) = live.batch.list_nodes("pool")
    desk.client.application_package.delete(desk.group, desk.account, "render", "1")
    live.batch.begin_reboot_node("pool", node.id, AT_ONCE, **POLL)
    live.wait_nodes("pool", {"unusable": 1})
    (error,) = live.batch.get_node("pool", node.id)["errors"]
    assert error["code"] == "ApplicationPackageError"
    assert "reboot" in str(error["errorDetails"])
    assert "no version 1" in error["message"]
    assert "no version 1" in live.why("pools", "pool", "nodes", node.id)
    desk.upload("render", "1", archive("two"))
    live.batch.begin_reboot_node("pool", node.id, AT_ONCE, **POLL)
    live.wait_nodes("pool", {"idle": 1})


def unpacked(live: Live, node: str) -> list[str]:
    """Names of directories of packages on the node, without what makes them unique."""
    found = live.batch.list_node_files(
        "pool", node, recursive=True, filter="startswith(name,'applications/')"
    )
    places = {str(one["name"]).split("/")[1] for one in found}
    return sorted(place.rpartition("-")[0] for place in places if not place.startswith("."))


def test_what_nobody_refers_to_is_removed_when_the_node_restarts(live: Live) -> None:
    desk = Desk(live)
    for name in ("old", "kept", "task"):
        desk.application(name)
        desk.upload(name, "1", archive(name))
    live.idle_pool(
        dedicated=1, application_package_references=[reference("old", "1"), reference("kept", "1")]
    )
    live.job()
    live.task("uses", f"sh -c '{RUN % 'task_1'}'", application_package_references=[reference("task", "1")])
    live.wait_completed(1)
    (node,) = [str(found["id"]) for found in live.batch.list_nodes("pool")]
    assert unpacked(live, node) == ["kept-1", "old-1", "task-1"]
    change = batch.BatchPoolUpdateOptions(application_package_references=[reference("kept", "1")])
    live.batch.update_pool("pool", change)
    assert "old-1" in unpacked(live, node), "a node follows when it restarts"
    live.batch.begin_reboot_node("pool", node, AT_ONCE, **POLL).result()
    live.wait_nodes("pool", {"idle": 1})
    assert unpacked(live, node) == ["kept-1"]
    trash = next((live.data_dir / "nodes").glob("*/temp")) / ".trash"
    wait_until(lambda: not any(trash.iterdir()), 30, lambda: str(list(trash.iterdir())))
    live.task("again", f"sh -c '{RUN % 'task_1'}'", application_package_references=[reference("task", "1")])
    live.wait_completed(2)
    assert live.output("again").split() == ["task", "task"]
