"""Promised uploads of logs: when they are tried again, when they are given up, and that a restart goes on with them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from poolwright.domain.clock import HOUR
from poolwright.domain.node_logs import PromisedLogs
from poolwright.engines.base import Transient
from poolwright.engines.hub import AgentHub
from poolwright.serve.node_logs import NodeLogUploads
from poolwright.serve.system import SystemClock, SystemIds
from poolwright.store.sync import SyncStore

JOB = b'{"kind": "logs", "url": "https://h/c?sig=hidden", "prefix": "p", "texts": []}'


class Carrier:
    """Answers with these codes, one a try; "lost" is an agent that went away. The last is given again."""

    def __init__(self, *codes: str) -> None:
        self._codes = list(codes)
        self.jobs: list[Mapping[str, Any]] = []

    async def run(self, machine: str, fence: int, id: str, job: Mapping[str, Any]) -> Mapping[str, Any]:
        assert (machine, fence, id) == ("m", 3, "l1")
        self.jobs.append(job)
        code = self._codes[min(len(self.jobs), len(self._codes)) - 1]
        if code == "lost":
            raise Transient("the agent went away")
        return {"ok": True} if code == "ok" else {"ok": False, "code": code, "message": f"it is {code}"}

    async def stop(self, id: str) -> None:
        raise AssertionError("nothing is stopped")


def tried(tmp_path: Path, *codes: str, age: int = 0) -> tuple[Carrier, list[PromisedLogs]]:
    """What a service that starts does with a promise of this age (microseconds), and what is left of it."""
    store, clock, carrier = SyncStore(), SystemClock(), Carrier(*codes)
    promised = PromisedLogs("l1", "node", "m", 3, JOB, clock.now() - age)
    assert "hidden" not in repr(promised)
    store.write_now(lambda tx: tx.log_uploads.insert(promised))

    async def work() -> None:
        hub = AgentHub(str(tmp_path / "s"), "token", None)  # type: ignore[arg-type]
        logs = NodeLogUploads(store, hub, carrier, clock, SystemIds(), ["10.0.0.0/8"], 0.001)
        await logs.open()
        await asyncio.wait_for(asyncio.gather(*logs._running), 30)

    asyncio.run(work())
    return carrier, store.read_now(lambda tx: tx.log_uploads.all())


@pytest.mark.parametrize(
    ("codes", "tries"),
    [
        (("ok",), 1),
        (("lost", "WorkerDied", "Stopped", "lost", "WorkerDied", "lost", "ok"), 7),
        (("FileUploadMiscError", "FileUploadTimedOut", "ok"), 3),
        (("FileUploadMiscError",), 5),
        (("FileUploadAccessDenied",), 1),
        (("lost", "FileUploadContainerNotFound"), 2),
    ],
)
def test_what_is_tried_again(tmp_path: Path, codes: tuple[str, ...], tries: int) -> None:
    carrier, left = tried(tmp_path, *codes)
    assert (len(carrier.jobs), left) == (tries, [])
    assert carrier.jobs[0]["networks"] == ["10.0.0.0/8"]


def test_a_promise_ends_with_its_address(tmp_path: Path) -> None:
    carrier, left = tried(tmp_path, "lost", age=25 * HOUR)
    assert (len(carrier.jobs), left) == (1, [])
