"""Each row of the public statements about files, through the official client: lists, ranges, headers, paths, errors."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from azure.batch import BatchClient, models
from azure.core.exceptions import HttpResponseError

from poolwright.api.batch.services import NodeUnreachable
from poolwright.commands import tasks
from poolwright.domain.clock import HOUR
from poolwright.domain.states import ExecutionResult, TaskState
from poolwright.store.base import Tx
from tests.unit.identity.parts import ACCOUNT
from tests.wire.batch.conftest import Live
from tests.wire.batch.raw import Caller
from tests.wire.batch.test_sdk_sync import code_of, job_options, pool_options

ID = "rows"
AGO = datetime.now(UTC) - timedelta(days=900)
SOON = datetime.now(UTC) + timedelta(days=1)


@pytest.fixture(scope="module")
def client(live: Live) -> Iterator[BatchClient]:
    with live.client() as found:
        found.create_pool(pool_options(ID))
        found.create_job(job_options(ID, ID))
        for task in ("t", "waits"):
            found.create_task(ID, models.BatchTaskCreateOptions(id=task, command_line="x"))
        yield found


@pytest.fixture(scope="module")
def directory(live: Live, client: BatchClient) -> Path:
    """The task's directory, with some files."""
    node = live.add_node(ID, 1)
    live.place(ID, "t", node)
    found = live.files.root / node.machine / "workitems" / ID / "job-1" / "t"
    (found / "wd" / "a b").mkdir(parents=True)
    (found / "stdout.txt").write_text("0123456789")
    (found / "stdout.txt").chmod(0o640)
    (found / "wd" / "a b" / "c%d.bin").write_bytes(b"deep")
    return found


def _refusal(call: Any, *arguments: Any, **more: Any) -> tuple[int | None, str]:
    with pytest.raises(HttpResponseError) as refused:
        call(*arguments, **more)
    return refused.value.status_code, code_of(refused.value)


class Answers:
    """Keeps the status and headers of answers."""

    def __init__(self) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}

    def __call__(self, answer: Any) -> None:
        self.status = answer.http_response.status_code
        self.headers = {name.lower(): value for name, value in answer.http_response.headers.items()}


def test_entries_of_a_list(client: BatchClient, directory: Path, live: Live) -> None:
    flat = {entry.name: entry for entry in client.list_task_files(ID, "t")}
    assert set(flat) == {"stdout.txt", "wd"}, "not recursive by default"
    file, folder = flat["stdout.txt"], flat["wd"]
    assert (file.is_directory, folder.is_directory, folder.properties) == (False, True, None)
    assert file.url == f"{live.url}/jobs/{ID}/tasks/t/files/stdout.txt"
    told = file.properties
    assert told is not None
    assert (int(told.content_length), told.content_type) == (10, "text/plain")
    assert told.last_modified is not None
    assert told.creation_time is None, "not told on Linux"
    assert told.file_mode is not None
    assert int(told.file_mode, 8) & 0o777 == 0o640
    deep = {entry.name for entry in client.list_task_files(ID, "t", recursive=True)}
    assert deep == {"stdout.txt", "wd", "wd/a b", "wd/a b/c%d.bin"}
    below = client.list_task_files(ID, "t", recursive=True, filter="startswith(name,'wd/a')")
    assert {entry.name for entry in below} == {"wd/a b", "wd/a b/c%d.bin"}
    node = next(iter(client.list_nodes(ID))).id
    assert [entry.name for entry in client.list_node_files(ID, node)] == ["workitems"]
    names = {entry.name for entry in client.list_node_files(ID, node, recursive=True)}
    assert f"workitems/{ID}/job-1/t/stdout.txt" in names, "relative to the root of the node"


def test_headers_of_a_file_and_of_a_part(client: BatchClient, directory: Path, live: Live) -> None:
    heard = Answers()
    whole = client.download_task_file(ID, "t", "stdout.txt", raw_response_hook=heard)
    assert b"".join(whole) == b"0123456789"
    assert heard.status == 200
    assert heard.headers["content-length"] == "10"
    assert heard.headers["content-type"] == "text/plain", "as in the list"
    assert heard.headers["ocp-batch-file-isdirectory"].lower() == "false"
    assert heard.headers["ocp-batch-file-url"].endswith(f"/jobs/{ID}/tasks/t/files/stdout.txt")
    assert int(heard.headers["ocp-batch-file-mode"], 8) & 0o777 == 0o640
    assert heard.headers["last-modified"].endswith("GMT")
    for asked, given in (("bytes=2-4", b"234"), ("bytes=7-", b"789"), ("bytes=8-100", b"89")):
        part = client.download_task_file(ID, "t", "stdout.txt", ocp_range=asked, raw_response_hook=heard)
        assert (b"".join(part), heard.status) == (given, 200), "200 also for a range"
        assert heard.headers["content-length"] == str(len(given))
    properties = client.get_task_file_properties(ID, "t", "stdout.txt")
    assert (properties.content_length, properties.is_directory) == (10, False)
    assert str(properties.url).endswith("/files/stdout.txt")
    assert int(str(properties.file_mode), 8) & 0o777 == 0o640
    assert properties.last_modified is not None
    assert client.get_task_file_properties(ID, "t", "wd").is_directory


def test_conditions_on_a_file(client: BatchClient, directory: Path) -> None:
    look = client.get_task_file_properties
    assert look(ID, "t", "stdout.txt", if_modified_since=AGO).content_length == 10
    assert look(ID, "t", "stdout.txt", if_unmodified_since=SOON).content_length == 10
    unmet_ones: list[tuple[dict[str, Any], int]] = [
        ({"if_unmodified_since": AGO}, 412), ({"if_modified_since": SOON}, 304),
    ]  # fmt: skip
    for when, status in unmet_ones:
        with pytest.raises(HttpResponseError) as unmet:
            look(ID, "t", "stdout.txt", **when)
        assert unmet.value.status_code == status
        with pytest.raises(HttpResponseError) as refused:
            client.download_task_file(ID, "t", "stdout.txt", **when)
        assert refused.value.status_code == status
        refused.value.response.close()  # type: ignore[union-attr]


def test_slashes_of_a_path_may_be_sent_raw_or_encoded(
    client: BatchClient, directory: Path, live: Live
) -> None:
    assert b"".join(client.download_task_file(ID, "t", "wd/a b/c%d.bin")) == b"deep"
    for path in ("wd%2Fa%20b%2Fc%25d.bin", "wd/a%20b/c%25d.bin"):
        assert Caller(live)("GET", f"/jobs/{ID}/tasks/t/files/{path}").body == b"deep"


def test_a_file_may_be_read_while_it_grows(client: BatchClient, directory: Path) -> None:
    growing = directory / "growing.txt"
    with growing.open("w") as file:
        file.write("one\n")
        file.flush()
        assert b"".join(client.download_task_file(ID, "t", "growing.txt")) == b"one\n"
        file.write("two\n")
        file.flush()
        assert client.get_task_file_properties(ID, "t", "growing.txt").content_length == 8
    growing.unlink()


def test_what_is_not_there_has_a_code(client: BatchClient, directory: Path, live: Live) -> None:
    node = next(iter(client.list_nodes(ID))).id
    for call, arguments, code in (
        (client.delete_task_file, (ID, "t", "none"), "FileNotFound"),
        (client.delete_node_file, (ID, node, "none"), "FileNotFound"),
        (client.delete_task_file, (ID, "none", "x"), "TaskNotFound"),
        (client.delete_task_file, ("none", "t", "x"), "JobNotFound"),
        (client.delete_node_file, (ID, "none", "x"), "NodeNotFound"),
    ):
        assert _refusal(call, *arguments) == (404, code)
    assert _refusal(client.delete_task_file, ID, "waits", "x") == (409, "TaskFilesUnavailable"), "not run yet"


def test_files_that_do_not_exist_yet_or_any_more(client: BatchClient, directory: Path, live: Live) -> None:
    hour = models.BatchTaskConstraints(retention_time=timedelta(hours=1))
    client.create_task(ID, models.BatchTaskCreateOptions(id="bare", command_line="x", constraints=hour))
    live.place(ID, "bare", next(iter(live.read(lambda tx: tx.nodes.of_pool(ACCOUNT, ID)))))
    assert _refusal(lambda: list(client.list_task_files(ID, "bare"))) == (404, "PathNotFound")

    def end(tx: Tx) -> None:
        found = tasks.get(tx, ACCOUNT, ID, "bare")
        ended_at = live.parts.clock.now() - 2 * HOUR
        over = replace(found, state=TaskState.COMPLETED, ended_at=ended_at, result=ExecutionResult.SUCCESS)
        tx.tasks.update_many([over])

    live.write(end)
    assert _refusal(client.delete_task_file, ID, "bare", "x") == (409, "TaskFilesCleanedup")


def test_what_a_node_that_does_not_answer_says(
    client: BatchClient, directory: Path, live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: object, **__: object) -> None:
        raise NodeUnreachable("its agent does not answer")

    node = next(iter(client.list_nodes(ID))).id
    for name in ("list", "stat", "delete"):
        monkeypatch.setattr(live.files, name, away)
    assert _refusal(client.delete_node_file, ID, node, "x") == (409, "NodeNotReady")
    assert _refusal(lambda: list(client.list_task_files(ID, "t"))) == (409, "NodeNotReady")


def test_a_directory_is_deleted_with_what_is_in_it_only_when_asked(
    client: BatchClient, directory: Path
) -> None:
    (directory / "wd" / "full").mkdir()
    (directory / "wd" / "full" / "f").write_text("x")
    with pytest.raises(HttpResponseError) as refused:
        client.delete_task_file(ID, "t", "wd/full")
    assert refused.value.status_code in (400, 409)
    assert (directory / "wd" / "full" / "f").exists()
    client.delete_task_file(ID, "t", "wd/full/f")
    client.delete_task_file(ID, "t", "wd/full")
    assert not (directory / "wd" / "full").exists(), "an empty one goes as it is"
