"""The transfer worker's processes: how many, with what rights, and that none is left."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from poolwright.agent import frames
from poolwright.transfer.parting import MOVER_ID
from poolwright.transfer.worker import AT_ONCE
from tests.contract.transfer.worker import Worker, children, movers
from tests.support import faulty
from tests.support.faulty import DATA, Faulty
from tests.support.waiting import wait_until

TASK = "workitems/j/job-1/t"
WD = TASK + "/wd"


@pytest.fixture
def worker() -> Iterator[Worker]:
    made = Worker()
    made.open()
    yield made
    made.close()


def test_so_many_jobs_at_once_and_no_more(root: Path, server: Faulty, worker: Worker) -> None:
    opened = threading.Event()

    def plan(_: int, request: Any) -> None:
        opened.wait(60)
        faulty.whole(request)

    server.plan = plan
    numbers = []
    for number in range(AT_ONCE + 3):
        item = {"from": "http", "path": "file", "mode": 0o770, "url": server.url + "/f"}
        order = {"kind": "fetch", "root": str(root), "dir": f"{TASK}{number}", "fresh": True, "items": [item]}
        numbers.append(worker.begin(order))
    wait_until(lambda: len(server.requests) >= AT_ONCE, 60, lambda: server.requests)
    assert worker.process is not None
    pid = worker.process.pid
    assert len(children(pid)) == AT_ONCE
    opened.set()
    outcomes = worker.ends(len(numbers))
    assert {number: outcomes[number]["ok"] for number in numbers} == dict.fromkeys(numbers, True)
    assert len(server.requests) == len(numbers)
    assert {path.read_bytes() == DATA for path in root.glob("workitems/j/job-1/*/wd/file")} == {True}
    wait_until(lambda: not children(pid), 30, "processes of jobs are left")


def test_no_job_outlives_the_worker(root: Path, server: Faulty, worker: Worker) -> None:
    server.plan = server.stalls
    item = {"from": "http", "path": "file", "mode": 0o770, "url": server.url + "/f"}
    worker.begin({"kind": "fetch", "root": str(root), "dir": TASK, "fresh": True, "items": [item]})
    wait_until(lambda: len(server.requests) == 1, 30, "no process speaks with the server")
    assert worker.process is not None
    left = [Path(f"/proc/{pid}") for pid in children(worker.process.pid)] + movers(worker)
    worker.process.kill()
    wait_until(lambda: not any(path.exists() for path in left), 30, lambda: left)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has rights to give up")
def test_who_speaks_with_servers_has_no_rights(root: Path, server: Faulty, worker: Worker) -> None:
    server.plan = server.stalls
    item = {"from": "http", "path": "file", "mode": 0o770, "url": server.url + "/f"}
    order = {"kind": "fetch", "root": str(root), "dir": TASK, "fresh": True, "items": [item]}
    number = worker.begin(order)
    wait_until(lambda: len(server.requests) == 1 and movers(worker), 30, "no process speaks with the server")
    (mover,) = movers(worker)
    status = dict(
        line.split(":\t", 1) for line in (mover / "status").read_text().splitlines() if ":\t" in line
    )
    assert status["Uid"].split() == status["Gid"].split() == [str(MOVER_ID)] * 4
    assert status["Groups"].split() == []
    rights = {name: int(status[name], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")}
    assert set(rights.values()) == {0}, rights
    assert status["NoNewPrivs"] == "1"
    opened = {str(link.readlink()) for link in (mover / "fd").iterdir()}
    of_node = {name for name in opened if str(root) in name}
    assert len(of_node) == 1, opened
    assert all(name.endswith(".poolwright-part") for name in of_node), "no directory of the node is open"

    worker.socket.sendall(frames.encode({"op": "stop", "id": number}))
    assert worker.end(number)["code"] == "Stopped"
    assert not movers(worker), "a stop is told when nothing is left"
