"""Starts wait for files, ends for uploads, kills for what is under way."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

import pytest

from poolwright.decide.task_life import End
from poolwright.domain.states import ExecutionResult, TaskState
from poolwright.domain.transfer import OutputFile, ResourceFile, Source, UploadCondition
from poolwright.engines.base import NotFound, Transient
from poolwright.reconcile import transfers
from poolwright.reconcile.fleet import Upload
from poolwright.reconcile.transfers import NoAutoStorage, Transfers
from tests.unit.reconcile.test_jobs_and_agents import Silent
from tests.unit.reconcile.world import World, exited

GOOD: dict[str, Any] = {"ok": True}
BAD: dict[str, Any] = {"ok": False, "code": "BlobNotFound", "message": "not there", "details": [["a", "b"]]}
FILES = (ResourceFile(Source.HTTP, "http://h/x?secret", "x"),)
OUTPUTS = (
    OutputFile("*", "http://h/c?secret"),
    OutputFile("f", "http://h/c", condition=UploadCondition.FAILURE),
)


class Hand:
    """A carrier whose jobs end as told."""

    def __init__(self, *outcomes: Any) -> None:
        self.outcomes = list(outcomes)
        self.asked: list[Any] = []
        self.stopped: list[str] = []
        self.held: dict[str, asyncio.Future[Any]] = {}

    async def run(self, machine: str, fence: int, id: str, job: Any) -> Any:
        self.asked.append((machine, fence, id, job))
        outcome = self.outcomes.pop(0) if self.outcomes else None
        if isinstance(outcome, Exception):
            raise outcome
        if outcome is not None:
            return outcome
        self.held[id] = asyncio.get_running_loop().create_future()
        return await self.held[id]

    async def stop(self, id: str) -> None:
        self.stopped.append(id)
        self.held[id].set_result({"ok": False, "code": "Stopped"})


class NoStorage:
    async def container_url(self, account: str, container: str, *, write: bool) -> str:
        raise NoAutoStorage("no linked storage")

    def path(self, digest: str) -> str:
        return f"/content/{digest}"


class Starts(Silent):
    def __init__(self) -> None:
        super().__init__()
        self.items: list[Any] = []

    def send_start(self, items: Any, /) -> None:
        super().send_start(items)
        self.items += items


class Bench:
    """A world, what stands before its fleet, and what is reported."""

    def __init__(self, *outcomes: Any) -> None:
        self.world = World(nodes=1)
        self.fleet, self.hand = Starts(), Hand(*outcomes)
        self.reported: list[Any] = []
        self.transfers = Transfers(
            self.world.store, self.fleet, self.hand, self.world.clock, NoStorage(), NoStorage()
        )
        self.transfers.connect(self.reported.extend)

    def start(self, **spec: Any) -> Any:
        """A task's start order, recorded and handed over."""
        self.world.add("t", **spec)
        (order,) = self.world.look().starts
        self.transfers.send_start([order.as_json()])
        return order

    async def settle(self) -> None:
        for _ in range(50):
            await asyncio.sleep(0)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfers, "FIRST_WAIT_S", 0.0)


def run(story: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(story())


def test_a_start_with_files_is_sent_when_they_are_there() -> None:
    async def story() -> None:
        bench = Bench()
        order = bench.start(resource_files=FILES)
        bench.transfers.send_start([order.as_json()])  # repeated by a later pass
        await bench.settle()
        ((machine, fence, id, job),) = bench.hand.asked
        assert (machine, fence, id, job["dir"]) == (order.machine, order.fence, order.name, order.directory)
        assert (bench.fleet.started, bench.transfers.doing(order.name) is not None) == ([], True)
        bench.hand.held[order.name].set_result(GOOD)
        await bench.settle()
        (sent,) = bench.fleet.items
        assert (sent["exec"], sent["adopt"], "fetch" in sent) == (order.name, True, False)
        assert (bench.reported, bench.transfers.doing(order.name)) == ([], None)

    run(story)


def test_a_failed_download_completes_the_task_and_is_not_retried() -> None:
    async def story() -> None:
        bench = Bench(BAD)
        bench.start(resource_files=FILES, max_retries=3)
        await bench.settle()
        bench.world.hear(*bench.reported)
        task = bench.world.task("t")
        assert (task.state, task.exit_code, bench.fleet.started) == (TaskState.COMPLETED, None, [])
        assert task.failure is not None
        assert (task.failure.code, task.failure.category, task.failure.details) == (
            "BlobNotFound",
            "usererror",
            (("a", "b"),),
        )

    run(story)


def test_a_transfer_that_was_lost_is_done_again_and_not_for_ever() -> None:
    async def story() -> None:
        died = {"ok": False, "code": "WorkerDied", "message": "", "details": []}
        bench = Bench(Transient("lost"), died, GOOD)
        order = bench.start(resource_files=FILES)
        await bench.settle()
        assert bench.fleet.started == [order.name]
        bench = Bench(*[died] * 20)
        bench.start(resource_files=FILES)
        await bench.settle()
        assert [one["code"] for one in bench.reported] == ["BlobDownloadMiscError"]
        assert len(bench.hand.asked) < 10
        bench = Bench(NotFound("gone"))
        bench.start(resource_files=FILES)
        await bench.settle()
        assert (bench.reported, bench.fleet.started) == ([], [])

    run(story)


def test_a_kill_stops_the_download_before_the_end_is_told() -> None:
    async def story() -> None:
        bench = Bench()
        order = bench.start(resource_files=FILES)
        await bench.settle()
        kill = {"machine": order.machine, "exec": order.name, "reason": "requeue", "grace_s": 1}
        bench.transfers.send_kill([kill, kill, {**kill, "exec": "other"}])
        await bench.settle()
        assert (bench.hand.stopped, bench.fleet.killed, bench.fleet.started) == ([order.name], ["other"], [])
        assert [one["reason"] for one in bench.reported] == ["killed:requeue"]
        bench.world.hear(*bench.reported)
        assert bench.world.live() == ["t1.2"]  # active again, and placed at once

    run(story)


def test_no_start_goes_to_a_later_life_of_the_node() -> None:
    async def story() -> None:
        bench = Bench()
        order = bench.start(resource_files=FILES)
        await bench.settle()
        bench.world.set_node("n0", fence=order.fence + 1)
        bench.hand.held[order.name].set_result(GOOD)
        await bench.settle()
        assert (bench.fleet.started, bench.reported) == ([], [])

    run(story)


def test_linked_storage_that_is_gone_is_told() -> None:
    async def story() -> None:
        bench = Bench()
        bench.start(resource_files=(replace(FILES[0], source=Source.AUTO_STORAGE, address="box"),))
        await bench.settle()
        assert [one["code"] for one in bench.reported] == ["ResourceContainerNotFound"]

    run(story)


def test_an_end_waits_for_its_uploads_and_keeps_its_exit_code() -> None:
    async def story() -> None:
        bench = Bench()
        order = bench.start(output_files=OUTPUTS)
        assert bench.fleet.started == [order.name]
        reaction = bench.world.hear(exited(order))
        (upload,) = reaction.uploads
        assert [file.pattern for file in upload.files] == ["*"]
        assert (reaction.acks, bench.world.task("t").state, bench.world.live()) == (
            [],
            TaskState.RUNNING,
            [order.name],
        )
        bench.transfers.send_uploads([upload])
        bench.transfers.send_uploads(bench.world.hear(exited(order)).uploads)  # told again: nothing more
        await bench.settle()
        assert len(bench.hand.asked) == 1
        failed = {"ok": False, "code": "FileUploadAccessDenied", "message": "no", "details": []}
        bench.hand.held[order.name].set_result(failed)
        await bench.settle()
        reaction = bench.world.hear(*bench.reported)
        task = bench.world.task("t")
        assert (reaction.acks, bench.world.live()) == ([order.name], [])
        assert task.failure is not None
        assert (task.exit_code, task.result, task.failure.code) == (
            0,
            ExecutionResult.FAILURE,
            "FileUploadAccessDenied",
        )

    run(story)


def test_only_the_last_attempt_that_ran_uploads() -> None:
    bench = World(nodes=1)
    bench.add("t", output_files=OUTPUTS, max_retries=1)
    (order,) = bench.look().starts
    assert bench.hear(exited(order, 1)).uploads == []
    (again,) = bench.look().starts or [replace(order, name=bench.task("t").execution)]
    uploads = bench.hear(exited(again, 1)).uploads
    assert [[file.pattern for file in one.files] for one in uploads] == [["*", "f"]]
    failed = {"t": "exec", "machine": order.machine, "fence": order.fence, "exec": again.name}
    reaction = bench.hear({**failed, "state": "failed", "code": "CommandProgramNotFound", "message": ""})
    assert reaction.uploads == []


def test_a_kill_that_meets_a_repeated_start_reaches_what_runs() -> None:
    async def story() -> None:
        bench = Bench()
        order = bench.start(resource_files=FILES)
        await bench.settle()
        kill = {"machine": order.machine, "exec": order.name, "reason": "terminate", "grace_s": 1}
        bench.hand.stop = bench.hand.asked.append  # type: ignore[method-assign,assignment]
        bench.transfers.send_kill([kill])
        bench.hand.held[order.name].set_result({"known": True})
        await bench.settle()
        assert (bench.fleet.killed, bench.reported) == ([order.name], []), "nobody says that it is dead"

    run(story)


def test_a_kill_stops_an_upload() -> None:
    async def story() -> None:
        bench = Bench()
        order = bench.start(output_files=OUTPUTS)
        end = End(1, "exit", exit_code=0)
        bench.transfers.send_uploads([Upload(order, OUTPUTS, end)])
        await bench.settle()
        bench.transfers.send_kill([{"machine": order.machine, "exec": order.name, "reason": "terminate"}])
        await bench.settle()
        assert [one["reason"] for one in bench.reported] == ["killed:terminate"]

    run(story)
