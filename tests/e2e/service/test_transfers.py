"""Files of tasks, from real storage to real nodes and back."""

from __future__ import annotations

import contextlib
import hashlib
import os
import select
import signal
import socket
import sqlite3
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from azure.batch import models as batch

from tests.e2e.service.live import POLL, Live
from tests.support import faulty
from tests.support.faulty import DATA, Faulty
from tests.support.storage import Storage
from tests.support.waiting import wait_until


def output(pattern: str, container: str, when: str = "taskcompletion", **more: Any) -> batch.OutputFile:
    """An output file of a task."""
    destination = batch.OutputFileBlobContainerDestination(container_url=container, **more)
    return batch.OutputFile(
        file_pattern=pattern,
        destination=batch.OutputFileDestination(container=destination),
        upload_options=batch.OutputFileUploadConfiguration(upload_condition=when),
    )


SCRIPT = b"""#!/bin/sh
mkdir out
cat one.txt data/deep/two.txt > out/all.txt
stat -c '%a %U' data/deep/two.txt tool
"""


@pytest.mark.one_service
def test_files_come_before_a_task_and_go_after_it(live: Live, storage: Storage) -> None:
    inputs = storage.container(one=b"one\n", deep__two_dot_txt=b"two\n", tool=SCRIPT)
    results = storage.container()
    kept = storage.signed(results)
    live.idle_pool(dedicated=1)
    live.job()
    tool = batch.ResourceFile(http_url=storage.signed(inputs, "tool"), file_path="tool", file_mode="0500")
    one = batch.ResourceFile(http_url=storage.signed(inputs, "one"), file_path="one.txt")
    data = batch.ResourceFile(
        storage_container_url=storage.signed(inputs), blob_prefix="deep/", file_path="data"
    )
    none = batch.ResourceFile(http_url=storage.signed(inputs, "no"), file_path="x")
    outputs = [
        output("out/**/*", kept, "tasksuccess", path="results"),
        output("../std*.txt", kept, path="logs"),
        output("one.txt", kept, "taskfailure", path="never"),
    ]
    live.task("works", "./tool", resource_files=[one, data, tool], output_files=outputs)
    failed = output("$AZ_BATCH_TASK_DIR/stdout.txt", kept, "taskfailure", path="failed")
    live.task("fails", "exit 3", output_files=[failed])
    live.task("lacks", "true", resource_files=[none], output_files=outputs)
    live.task("cannot", "true", output_files=[output("../stdout.txt", storage.signed("no-such-container"))])
    live.wait_completed(4)

    assert live.output("works") == "770 _azbatch\n500 _azbatch\n"
    assert storage.blobs(results) == {
        "results/all.txt": b"one\ntwo\n",
        "logs/stdout.txt": b"770 _azbatch\n500 _azbatch\n",
        "logs/stderr.txt": b"",
        "failed": b"",
    }
    assert "out/all.txt -> results/all.txt" in live.output("works", name="fileuploadout.txt")
    ends = {
        id: live.batch.get_task("job", id)["executionInfo"] for id in ("works", "fails", "lacks", "cannot")
    }
    assert {id: end.get("exitCode") for id, end in ends.items()} == {
        "works": 0,
        "fails": 3,
        "lacks": None,
        "cannot": 0,
    }
    codes = {id: end["failureInfo"]["code"] for id, end in ends.items() if "failureInfo" in end}
    assert codes == {
        "fails": "FailureExitCode",
        "lacks": "BlobNotFound",
        "cannot": "FileUploadContainerNotFound",
    }
    assert "sig=" not in str(ends)


@pytest.mark.one_service
def test_files_of_a_jobs_own_tasks(live: Live, storage: Storage) -> None:
    inputs = storage.container(made=b"prepared\n")
    results = storage.container()
    kept = storage.signed(results)
    given = [batch.ResourceFile(http_url=storage.signed(inputs, "made"), file_path="made")]
    none = [batch.ResourceFile(http_url=storage.signed(inputs, "no"), file_path="x")]
    live.idle_pool(dedicated=1)
    pool = batch.BatchPoolInfo(pool_id="pool")
    copy = '/bin/sh -c "cat made >$AZ_BATCH_NODE_SHARED_DIR/$AZ_BATCH_TASK_ID"'
    live.batch.create_job(
        batch.BatchJobCreateOptions(
            id="job",
            pool_info=pool,
            job_preparation_task=batch.BatchJobPreparationTask(command_line=copy, resource_files=given),
            job_release_task=batch.BatchJobReleaseTask(command_line=copy, resource_files=given),
            job_manager_task=batch.BatchJobManagerTask(
                id="boss",
                command_line='/bin/sh -c "cat made $AZ_BATCH_JOB_PREP_WORKING_DIR/made"',
                resource_files=given,
                output_files=[output("../stdout.txt", kept, path="boss")],
            ),
        )
    )

    def completed(job: str) -> None:
        wait_until(
            lambda: live.batch.get_job(job)["state"] == "completed",
            60,
            lambda: f"the job has not completed: {live.batch.get_job(job)}",
        )

    completed("job")
    assert storage.blobs(results) == {"boss": b"prepared\n" * 2}
    for id in ("jobpreparation", "jobrelease"):
        assert live.ledger(name=f"shared/{id}") == ["prepared"]

    live.batch.create_job(
        batch.BatchJobCreateOptions(
            id="lacks",
            pool_info=pool,
            job_preparation_task=batch.BatchJobPreparationTask(command_line=copy, resource_files=none),
        )
    )
    live.batch.create_task("lacks", batch.BatchTaskCreateOptions(id="waits", command_line="true"))

    def failures() -> list[str]:
        rows = [
            row["jobPreparationTaskExecutionInfo"]
            for row in live.batch.list_job_preparation_and_release_task_status("lacks")
        ]
        return [row["failureInfo"]["code"] for row in rows if "failureInfo" in row]

    wait_until(lambda: failures() == ["BlobNotFound"], 60, failures)


class Gate:
    """A server that sends half of a file and no more until it is opened."""

    def __init__(self) -> None:
        self.server = Faulty()
        self.server.plan = self._serve
        self._open = threading.Event()

    def _serve(self, _: int, request: BaseHTTPRequestHandler) -> None:
        if self._open.is_set():
            faulty.whole(request)
            return
        with contextlib.suppress(OSError):
            faulty.broken(request, len(DATA) // 2)
            request.wfile.flush()
            self._open.wait(120)

    def wait_asked(self, times: int) -> None:
        """Wait until the file was asked for so often."""
        wait_until(lambda: len(self.server.requests) >= times, 60, lambda: self.server.requests)

    def open(self) -> None:
        self._open.set()

    def close(self) -> None:
        self._open.set()
        self.server.close()


@pytest.fixture
def gate() -> Iterator[Gate]:
    made = Gate()
    yield made
    made.close()


def worker(live: Live) -> int:
    """The transfer worker's process id."""
    agent = live.agent_pid()
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            parent = int((process / "stat").read_text().rpartition(")")[2].split()[1])
            if parent == agent and b"transfer.worker" in (process / "cmdline").read_bytes():
                return int(process.name)
    raise AssertionError("no transfer worker runs")


def test_transfers_outlive_kills(live: Live, gate: Gate) -> None:
    live.idle_pool(dedicated=1)
    live.job()
    url = gate.server.url
    one = batch.ResourceFile(http_url=f"{url}/one", file_path="one")
    live.task("killed", "md5sum < one", resource_files=[one])
    live.task("ended", "true", resource_files=[batch.ResourceFile(http_url=f"{url}/two", file_path="two")])
    gate.wait_asked(2)
    assert live.state("killed") == "running"
    assert "resource files are being downloaded" in live.why("jobs", "job", "tasks", "killed")
    live.batch.terminate_task("job", "ended")
    asked = 2
    for victim in (worker(live), live.agent_pid(), live.ready.pid):
        os.kill(victim, signal.SIGKILL)
        if victim == live.ready.pid:
            live.service.wait_dead()
            live.start()
        asked += 1
        gate.wait_asked(asked)
    gate.open()
    task = live.wait_task("killed", "completed")
    assert task["executionInfo"]["exitCode"] == 0, task
    assert live.output("killed").split()[0] == hashlib.md5(DATA, usedforsecurity=False).hexdigest()
    assert live.batch.get_task("job", "ended")["executionInfo"]["failureInfo"]["code"] == "TaskEnded"
    live.task("next", "echo a slot is free")
    live.wait_completed(3)


class Relay:
    """Connections to another port: taken at once, passed on once it is opened."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._opened = threading.Event()
        self.taken = 0
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._server.getsockname()[1])
        self._threads = [threading.Thread(target=self._serve)]
        self._threads[0].start()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._server.accept()
            except OSError:
                return
            self.taken += 1
            self._threads.append(threading.Thread(target=self._join, args=(client,)))
            self._threads[-1].start()

    def _join(self, client: socket.socket) -> None:
        self._opened.wait(120)
        with (
            client,
            contextlib.suppress(OSError),
            socket.create_connection(("127.0.0.1", self._port)) as server,
        ):
            pair = {client: server, server: client}
            while True:
                for one in select.select(list(pair), [], [], 120)[0]:
                    data = one.recv(65536)
                    if not data:
                        return
                    pair[one].sendall(data)

    def open(self) -> None:
        self._opened.set()

    def close(self) -> None:
        self._opened.set()
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        for thread in self._threads:
            thread.join(130)


@pytest.fixture
def relay(storage: Storage) -> Iterator[Relay]:
    made = Relay(int(storage.url.split(":")[2].split("/")[0]))
    yield made
    made.close()


def test_promised_logs_outlive_the_service(live: Live, storage: Storage, relay: Relay) -> None:
    live.idle_pool(dedicated=1)
    (node,) = live.batch.list_nodes("pool")
    kept = storage.container()
    url = storage.signed(kept).replace(storage.url.split("/")[2], f"127.0.0.1:{relay.port}")
    options = batch.UploadBatchServiceLogsOptions(
        container_url=url, start_time=datetime.now(UTC) - timedelta(hours=1)
    )
    told = live.batch.upload_node_logs("pool", node["id"], options)
    wait_until(lambda: relay.taken >= 1, 60, lambda: relay.taken)
    live.kill_service()
    live.start()
    gone = batch.BatchNodeRemoveOptions(node_ids=[node["id"]])
    live.batch.begin_remove_nodes("pool", gone, **POLL).result()
    wait_until(lambda: not list(live.batch.list_nodes("pool")), 60, "the node stays")
    relay.open()
    wait_until(lambda: len(storage.blobs(kept)) == told.number_of_files_uploaded, 60, "no logs came")

    def promised() -> int:
        with contextlib.closing(
            sqlite3.connect(f"file:{live.data_dir}/poolwright.db?mode=ro", uri=True)
        ) as db:
            return int(db.execute("SELECT count(*) FROM log_upload").fetchone()[0])

    wait_until(lambda: promised() == 0, 60, "the upload is still to be done")


def test_linked_storage_start_tasks_and_logs(live: Live, storage: Storage, tmp_path: Path) -> None:
    linked = tmp_path / "linked"
    linked.touch(0o600)
    linked.write_text(storage.connection_string)
    live.start_again("--auto-storage", str(linked))
    inputs = storage.container(start__tool=b"#!/bin/sh\necho from storage > $AZ_BATCH_NODE_SHARED_DIR/made\n")
    tool = batch.ResourceFile(auto_storage_container_name=inputs, blob_prefix="start/")
    live.idle_pool(
        dedicated=1, start_task=batch.BatchStartTask(command_line="start/tool", resource_files=[tool])
    )
    assert live.ledger(name="shared/made") == ["from", "storage"]

    (node,) = live.batch.list_nodes("pool")
    kept = storage.container()
    options = batch.UploadBatchServiceLogsOptions(
        container_url=storage.signed(kept), start_time=datetime.now(UTC) - timedelta(hours=1)
    )
    told = live.batch.upload_node_logs("pool", node["id"], options)
    wait_until(
        lambda: len(storage.blobs(kept)) == told.number_of_files_uploaded == 3,
        60,
        lambda: storage.blobs(kept),
    )
    logs = {
        name.removeprefix(f"{told.virtual_directory_name}/"): text
        for name, text in storage.blobs(kept).items()
    }
    assert b": running" in logs["agent.log"]
    assert b"idle" in logs["node.log"]
    options.end_time = options.start_time
    assert live.batch.upload_node_logs("pool", node["id"], options).number_of_files_uploaded == 0

    absent = batch.ResourceFile(auto_storage_container_name="absent")
    live.pool(
        "fails",
        dedicated=1,
        start_task=batch.BatchStartTask(command_line="true", resource_files=[absent], max_task_retry_count=5),
    )
    live.wait_nodes("fails", {"starttaskfailed": 1})
    (node,) = live.batch.list_nodes("fails")
    info = node["startTaskInfo"]
    assert (info["failureInfo"]["code"], info["retryCount"]) == ("ResourceContainerNotFound", 0)
