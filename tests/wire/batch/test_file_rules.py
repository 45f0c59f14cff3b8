"""Long directories, files whose time is over, and conditions that files do not know."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from azure.batch import models

from poolwright.api.batch import files
from poolwright.api.batch.services import NodeUnreachable
from poolwright.commands import jobs, tasks
from poolwright.domain.clock import HOUR
from poolwright.domain.states import ExecutionResult, TaskState
from poolwright.store.base import Tx
from tests.unit.identity.parts import ACCOUNT
from tests.wire.batch import conftest
from tests.wire.batch.conftest import Live
from tests.wire.batch.raw import Caller
from tests.wire.batch.test_sdk_sync import client, named, pool_options

__all__ = ["client"]


def test_a_list_goes_on_where_the_node_stopped(
    live: Live, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (files, conftest):
        monkeypatch.setattr(module, "FILES_LISTED_MAX", 4)
    id = named(client, "crowded")
    client.create_pool(pool_options(id))
    node = live.add_node(id, 1)
    root = live.files.root / node.machine
    names = {f"{folder}/{n}.txt" for folder in ("a", "a.b", "c") for n in range(5)}
    for name in names:
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_text(name)
    found = [file.name for file in client.list_node_files(id, node.id, recursive=True)]
    assert sorted(found) == sorted(names | {"a", "a.b", "c"})
    small = [file.name for file in client.list_node_files(id, node.id, recursive=True, max_results=3)]
    assert small == found, "pages smaller than what the node tells"
    flat = client.list_node_files(id, node.id, recursive=True, filter="startswith(name,'a.b/')")
    assert [file.name for file in flat] == [f"a.b/{n}.txt" for n in range(5)]


def test_files_whose_time_is_over_were_cleaned_up(live: Live, client: Any) -> None:
    id = named(client, "kept")
    client.create_pool(pool_options(id))
    node = live.add_node(id, 1)
    client.create_job(models.BatchJobCreateOptions(id=id, pool_info=models.BatchPoolInfo(pool_id=id)))
    hour = models.BatchTaskConstraints(retention_time=timedelta(hours=1))
    for task in ("old", "new"):
        client.create_task(id, models.BatchTaskCreateOptions(id=task, command_line="x", constraints=hour))
        live.place(id, task, node)

    def ended(tx: Tx, task: str, ago: int) -> None:
        found = tasks.get(tx, ACCOUNT, jobs.get(tx, ACCOUNT, id).id, task)
        at = live.parts.clock.now() - ago
        over = replace(found, state=TaskState.COMPLETED, ended_at=at, result=ExecutionResult.SUCCESS)
        tx.tasks.update_many([over])

    live.write(lambda tx: ended(tx, "old", 2 * HOUR))
    live.write(lambda tx: ended(tx, "new", HOUR // 2))
    for task, code in (("old", "TaskFilesCleanedup"), ("new", "FileNotFound")):
        assert Caller(live)("GET", f"/jobs/{id}/tasks/{task}/files/stdout.txt").code == code


def test_files_of_a_node_that_does_not_answer(
    live: Live, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    id = named(client, "away")
    client.create_pool(pool_options(id))
    node = live.add_node(id, 1)

    async def away(*_: object, **__: object) -> None:
        raise NodeUnreachable("its agent does not answer")

    for name in ("list", "stat"):
        monkeypatch.setattr(live.files, name, away)
    for path in ("", "/stdout.txt"):
        reply = Caller(live)("GET", f"/pools/{id}/nodes/{node.id}/files{path}")
        assert (reply.status, reply.code) == (409, "NodeNotReady")
        assert "does not answer" in reply.values["Reason"]


def test_files_have_no_tags(live: Live, client: Any) -> None:
    id = named(client, "untagged")
    client.create_pool(pool_options(id))
    node = live.add_node(id, 1)
    (live.files.root / node.machine / "note.txt").write_text("x")
    call = Caller(live)
    reply = call("GET", f"/pools/{id}/nodes/{node.id}/files/note.txt", If_None_Match="0x1")
    assert (reply.status, reply.code, reply.values["HeaderName"]) == (
        400,
        "UnsupportedHeader",
        "if-none-match",
    )
    assert call("GET", f"/pools/{id}/nodes/{node.id}/files/note.txt").body == b"x"
