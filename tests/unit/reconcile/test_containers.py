"""Which images are asked for, when, with whose credentials, and what agents are told of containers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from poolwright.domain.containers import (
    BindMount,
    ContainerSettings,
    PoolContainers,
    Registry,
    RunOptions,
    Volume,
)
from poolwright.reconcile.containers import ContainerHost, Containers, agents_container
from poolwright.reconcile.fleet import Json
from poolwright.store.base import Store
from tests.support.waiting import wait_until_async

IMAGE = "lab.example/tool"
LOGIN = Registry("lab.example", "ann", "hush")


class Worker:
    """Does every job at once, or when it is told to."""

    def __init__(self) -> None:
        self.orders: list[Json] = []
        self.names: list[str] = []
        self.outcome: Json | None = {"ok": True}
        self.go = asyncio.Event()
        self.go.set()
        self.at_once = self.most = 0

    async def do(self, _: str, __: int, name: str, order: Json) -> Json | None:
        self.orders.append(order)
        self.names.append(name)
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        await self.go.wait()
        self.at_once -= 1
        return self.outcome


class Runtime:
    """The container runtime, or why there is none."""

    def __init__(self, problem: str | None = None) -> None:
        self.problem = problem

    async def bring(self) -> str | None:
        return self.problem


class NoStore:
    """What is remembered needs no store."""

    async def read(self, _: Any) -> PoolContainers:
        return PoolContainers((IMAGE,), (LOGIN,))


class Counts:
    """What the meter is told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, int]] = []

    def count(self, how: str, size: int, seconds: float) -> None:
        assert seconds >= 0
        self.told.append((how, size))


def made(worker: Worker, problem: str | None = None, counts: Counts | None = None) -> Containers:
    store: Any = NoStore()
    checked: Store = store
    host = ContainerHost(Runtime(problem), "/store", 9, 7, (counts or Counts()).count, lambda _: (5, 10))
    return Containers(checked, worker.do, host)


async def until(condition: Callable[[], bool]) -> None:
    async def look() -> bool:
        return condition()

    await wait_until_async(look, 30, "the worker is not asked")


def start(machine: str = "m1", fence: int = 1, **more: Any) -> dict[str, Any]:
    given = {"machine": machine, "fence": fence, "exec": "t1.1", "env": {}, "fetch": ()}
    return {**given, "container": ContainerSettings(IMAGE), **more}


def test_a_start_waits_for_nothing_that_its_node_has() -> None:
    async def story() -> None:
        worker = Worker()
        containers = made(worker)
        assert containers.ready(start()) is None
        assert await containers.of_node("m1", 1, PoolContainers((IMAGE,), (LOGIN,))) == {"ok": True}
        ready = containers.ready(start())
        assert ready is not None
        assert "fetch" not in ready
        assert ready["container"]["image"] == worker.orders[0]["dir"].partition("/")[2]
        assert (await containers.of_task(start()), len(worker.orders)) == ({"ok": True}, 1)
        assert containers.ready(start(fence=2)) is None, "another life of the node"
        assert containers.ready(start("m2")) is None
        assert containers.ready(start(fetch=("file",))) is None
        assert containers.ready(start(refusal="no")) is None
        assert containers.ready(start(packages=("p",))) is None
        assert containers.ready({"fetch": ()}) is None
        assert worker.orders[0]["username"] == "ann"
        told = {name: worker.orders[0][name] for name in ("store", "bound", "kept_free")}
        assert told == {"store": "/store", "bound": 9, "kept_free": 7}

    asyncio.run(story())


def test_one_machine_pulls_and_the_others_follow() -> None:
    async def story() -> None:
        worker = Worker()
        worker.go.clear()
        containers = made(worker)
        pool = PoolContainers((IMAGE,))
        work = [asyncio.create_task(containers.of_node(f"m{n}", 1, pool)) for n in range(5)]
        await until(lambda: bool(worker.orders))
        worker.go.set()
        assert await asyncio.gather(*work) == [{"ok": True}] * 5
        assert (worker.most, len(set(worker.names))) == (1, 5)
        worker.go.clear()
        work = [asyncio.create_task(containers.of_node(f"n{n}", 1, pool)) for n in range(5)]
        await until(lambda: worker.at_once == 5)
        worker.go.set()
        await asyncio.gather(*work)

    asyncio.run(story())


def test_each_request_for_an_image_is_counted_by_how_it_ended() -> None:
    async def story() -> None:
        worker, counts = Worker(), Counts()
        containers = made(worker, counts=counts)
        pool = PoolContainers((IMAGE,))
        outcomes: list[Json | None] = [
            {"ok": True, "reused": False, "bytes": 7},
            {"ok": True, "reused": True, "bytes": 0},
            {"ok": False, "code": "ContainerInvalidRegistry", "message": "denied"},
            {"ok": False, "code": "of another kind", "message": "x", "bytes": 3},
            None,
        ]
        for number, outcome in enumerate(outcomes):
            worker.outcome = outcome
            await containers.of_node(f"m{number}", 1, pool)
        await containers.of_node("m0", 1, pool)  # known to be there: nobody is asked
        wanted = [("pulled", 7), ("present", 0), ("ContainerInvalidRegistry", 0), ("other", 3), ("gone", 5)]
        assert counts.told == wanted
        worker.go.clear()
        pull = asyncio.create_task(containers.of_node("m9", 1, pool))
        await until(lambda: worker.at_once == 1)
        pull.cancel()
        await asyncio.gather(pull, return_exceptions=True)
        assert counts.told[len(wanted) :] == [("stopped", 5)]

    asyncio.run(story())


def test_one_tasks_credentials_do_not_answer_for_anothers() -> None:
    async def story() -> None:
        worker = Worker()
        worker.go.clear()
        containers = made(worker)
        settings = ContainerSettings(IMAGE, registry=Registry("lab.example", "eve", "other"))
        first = asyncio.create_task(containers.of_task(start(container=settings)))
        await until(lambda: len(worker.orders) == 1)
        worker.outcome = {"ok": False, "code": "ContainerInvalidRegistry", "message": "denied"}
        second = asyncio.create_task(containers.of_task(start()))
        worker.go.set()
        denied = await first
        assert denied is not None
        assert not denied["ok"]
        await second
        assert [order["username"] for order in worker.orders] == ["eve", "ann"]

    asyncio.run(story())


def test_failures_name_the_image_and_are_not_remembered() -> None:
    async def story() -> None:
        worker = Worker()
        worker.outcome = {"ok": False, "code": "ContainerInvalidImage", "message": "there is none"}
        containers = made(worker)
        outcome = await containers.of_node("m1", 1, PoolContainers((IMAGE, "other")))
        assert outcome is not None
        assert outcome["code"] == "ContainerInvalidImage"
        assert IMAGE in outcome["message"]
        assert len(worker.orders) == 1
        assert containers.ready(start()) is None
        no_runtime = await made(worker, "no package source").of_node("m1", 1, PoolContainers((IMAGE,)))
        assert no_runtime is not None
        assert "no package source" in no_runtime["message"]
        assert await made(worker, "x").of_node("sim-1", 1, PoolContainers()) is not None

    asyncio.run(story())


@pytest.mark.parametrize(
    ("mounts", "told"),
    [
        (None, None),
        ((), []),
        (
            (BindMount("Shared", True), BindMount("Task")),
            [["/mnt/batch/tasks/shared", True], ["/task", False]],
        ),
        ((BindMount("JobPrep"),), "preparation"),
    ],
)
def test_agents_are_told_paths(mounts: tuple[BindMount, ...] | None, told: Any) -> None:
    options = RunOptions(work_dir="/w", volumes=(Volume("/a", "/b", True),), limits=(("core", 0, 0),))
    found, problem = agents_container(
        "t1.1", ContainerSettings(IMAGE, options, mounts=mounts), {"AZ_BATCH_TASK_DIR": "/task"}
    )
    if isinstance(told, str):
        assert found is None
        assert told in problem
        return
    assert found is not None
    assert found["mounts"] == told
    assert (found["work_dir"], found["volumes"]) == ("/w", [["/a", "/b", True, None]])
    assert len(found["id"]) == 64
