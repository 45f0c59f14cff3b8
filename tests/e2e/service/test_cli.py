"""The command line with a real service: what each command prints, and how `up` starts, refuses and ends."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.service.live import Live
from tests.support.waiting import wait_until

COMMAND = [sys.executable, "-m", "poolwright.cli"]


def poolwright(*arguments: str, data_dir: Path) -> subprocess.CompletedProcess[str]:
    """One command, as a user types it."""
    command = [*COMMAND, *arguments, "--data-dir", str(data_dir)]
    environment = {**os.environ, "COLUMNS": "200", "NO_COLOR": "1"}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)


class Up:
    """One `poolwright up`, with what it writes."""

    def __init__(self, folder: Path, name: str, *more: str, ready: str = "ready.json") -> None:
        self.data_dir = folder / name
        self.ready_file = folder / ready
        self.out = folder / f"{name}.out"
        self.err = folder / f"{name}.err"
        command = [
            *COMMAND,
            "up",
            "--data-dir",
            str(self.data_dir),
            "--ready-file",
            str(self.ready_file),
            *more,
        ]
        with self.out.open("w") as out, self.err.open("w") as err:
            self.process = subprocess.Popen(command, stdout=out, stderr=err)

    def wait_ready(self) -> dict[str, str]:
        """The content of the ready file."""
        wait_until(self.ready_file.exists, 60, lambda: f"{self.process.poll()}\n{self.err.read_text()}")
        known: dict[str, str] = json.loads(self.ready_file.read_text())
        return known

    def code(self) -> int:
        """The exit code, once it has ended."""
        return self.process.wait(60)

    def close(self) -> None:
        """End it and the host agent."""
        if self.process.poll() is None:
            self.process.terminate()
        self.process.wait(60)
        poolwright("down", data_dir=self.data_dir)


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Up]:
    """A service on a free port. Needs no root: nothing here makes a node."""
    made = Up(tmp_path, "first", "--port", "0")
    try:
        made.wait_ready()
        yield made
    finally:
        made.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_cleanly(up: Up, number: signal.Signals) -> None:
    known = json.loads(up.ready_file.read_text())
    assert known["pid"] == up.process.pid
    assert up.ready_file.stat().st_mode & 0o777 == 0o600
    assert json.loads((up.data_dir / "credentials.json").read_text()) == known
    up.process.send_signal(number)
    assert up.code() == 0
    assert not up.ready_file.exists()
    assert "the service has ended" in up.err.read_text()


def test_what_it_prints_holds_everything_but_secrets(up: Up) -> None:
    known = json.loads(up.ready_file.read_text())
    said = up.out.read_text()
    wait_until(lambda: "az login" in up.out.read_text(), 30, up.out.read_text)
    said = up.out.read_text()
    for line in (
        "Poolwright is ready.",
        f"  endpoint          {known['endpoint']}",
        f"  CA file           {known['ca_file']}",
        f"  credentials file  {up.data_dir}/credentials.json",
    ):
        assert line in said.splitlines()
    assert f"env --data-dir {up.data_dir})" in said
    env = poolwright("env", data_dir=up.data_dir)
    assert (env.returncode, env.stderr) == (0, "")
    assert env.stdout in said
    for text in (said, env.stdout, up.err.read_text()):
        assert known["client_secret"] not in text
        assert known["account_key"] not in text


def test_a_second_service_is_refused_and_leaves_the_first_ones_ready_file(up: Up, tmp_path: Path) -> None:
    before = up.ready_file.read_text()
    port = str(json.loads(before)["endpoint"]).rpartition(":")[2]
    same = poolwright("up", "--port", "0", "--ready-file", str(up.ready_file), data_dir=up.data_dir)
    assert same.returncode == 1
    assert (
        f"{up.data_dir} is in use by process {up.process.pid}: stop it or choose another one" in same.stderr
    )
    taken = poolwright("up", "--port", port, "--ready-file", str(up.ready_file), data_dir=tmp_path / "second")
    assert taken.returncode == 1
    assert f"cannot listen on 127.0.0.1 port {port}: Address already in use" in taken.stderr
    for refused in (same, taken):
        assert "Traceback" not in refused.stderr
        assert refused.stdout == ""
    assert up.ready_file.read_text() == before


def test_places_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    data_dir = tmp_path / "file" / "data"
    refused = poolwright("up", "--port", "0", data_dir=data_dir)
    assert refused.returncode == 1
    assert f"the data directory {data_dir} cannot be made: Not a directory" in refused.stderr
    ready_file = tmp_path / "file" / "ready.json"
    try:
        refused = poolwright("up", "--port", "0", "--ready-file", str(ready_file), data_dir=tmp_path / "data")
    finally:
        poolwright("down", data_dir=tmp_path / "data")
    assert refused.returncode == 1
    assert f"the ready file {ready_file} cannot be written: " in refused.stderr
    assert "Traceback" not in refused.stderr


def test_a_killed_services_ready_file_is_not_mistaken_for_the_next_ones(up: Up, tmp_path: Path) -> None:
    up.process.kill()
    up.process.wait(60)
    with socket.create_server(("127.0.0.1", 0)) as busy:
        port = str(busy.getsockname()[1])
        refused = poolwright("up", "--port", port, "--ready-file", str(up.ready_file), data_dir=up.data_dir)
    assert refused.returncode == 1
    assert not up.ready_file.exists()


def test_commands_of_a_service_that_is_gone(up: Up) -> None:
    up.process.terminate()
    assert up.code() == 0
    done = poolwright("explain", "pool", "p", data_dir=up.data_dir)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("poolwright: the service cannot be reached (is it running?): ")
    down = poolwright("down", data_dir=up.data_dir)
    assert (down.returncode, down.stdout) == (0, "no machine is left running\n")


@pytest.mark.needs_root
@pytest.mark.slow
def test_the_story_of_an_operator(live: Live) -> None:
    live.idle_pool(dedicated=1, low=1, slots=1)
    live.job()
    live.task("one", "echo hello")
    live.wait_completed(1)
    kinds = {bool(node["isDedicated"]): str(node["id"]) for node in live.batch.list_nodes("pool")}

    def told(*arguments: str) -> str:
        done = poolwright(*arguments, data_dir=live.data_dir)
        assert (done.returncode, done.stderr) == (0, ""), done
        return done.stdout

    assert "TaskCompleted" in told("explain", "task", "job", "one")
    assert "TasksComplete" in told("explain", "job", "job")
    assert "PoolSteady" in told("explain", "pool", "pool")
    assert told("explain", "node", "pool", kinds[True]).startswith("code")
    refused = poolwright("node", "preempt", "pool", kinds[True], data_dir=live.data_dir)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr == (
        "poolwright: OperationNotValidOnNode: The operation is not valid on this node.\n"
        "  Reason: Only low-priority nodes can be preempted.\n"
    )
    assert told("node", "preempt", "pool", kinds[False]) == f"{kinds[False]} is being preempted\n"
    for arguments, code, value in (
        (("explain", "task", "job", "none"), "TaskNotFound", "none"),
        (("explain", "pool", "none"), "PoolNotFound", "none"),
        (("node", "preempt", "pool", "none"), "NodeNotFound", "none"),
    ):
        missing = poolwright(*arguments, data_dir=live.data_dir)
        assert (missing.returncode, missing.stdout) == (1, "")
        assert missing.stderr.startswith(f"poolwright: {code}: ")
        assert f": {value}\n" in missing.stderr
    pid = live.ready.pid
    assert told("down") == f"the service (process {pid}) has ended; no machine is left running\n"
