"""Application packages onto nodes: each package once for all who want it at the same time.

Nothing is kept of what a node has: the worker sees whether a package is there, whole, in the content wanted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any

from poolwright.domain.package import PACKAGE_ERROR, InstalledPackage, variables
from poolwright.reconcile.environment import ROOT
from poolwright.reconcile.fleet import Json
from poolwright.reconcile.packages import PackageContents, PackageMissing, resolve
from poolwright.store.base import Store, Tx

#: Has a job done on a machine: name, fence, id of the job, order. None when the machine's life is over.
Doer = Callable[[str, int, str, Json], Awaitable[Json | None]]


class Installs:
    """Installations under way. `do` carries one to the node's host and is told of nothing else."""

    def __init__(self, store: Store, contents: PackageContents, do: Doer) -> None:
        self._store = store
        self._contents = contents
        self._do = do
        self._under_way: dict[str, asyncio.Task[Json | None]] = {}

    async def of_task(self, item: Json, stopping: asyncio.Event) -> tuple[Json | None, dict[str, str]]:
        """Install what the start of a task asks for: the outcome, and the variables that tell the task. Returns
        early, as stopped, when `stopping` is set."""
        account = item["env"]["AZ_BATCH_ACCOUNT_NAME"]

        def query(tx: Tx) -> list[InstalledPackage]:
            return [resolve(tx, account, reference) for reference in item["packages"]]

        try:
            packages = await self._store.read(query)
        except PackageMissing as missing:
            return _failed(f"{missing}."), {}
        work = self.all(item["machine"], item["fence"], packages)
        outcome = await unless_stopped(work, stopping, "its application packages were installed")
        return outcome, variables(packages, ROOT)

    async def all(self, machine: str, fence: int, packages: Sequence[InstalledPackage]) -> Json | None:
        """Install these, one after the other; the outcome of the first that fails, or of the last."""
        outcome: Json | None = {"ok": True}
        for package in packages:
            outcome = await asyncio.shield(self._one(machine, fence, package))
            if outcome is None or not outcome.get("ok"):
                break
        return outcome

    async def close(self) -> None:
        """Let go of all of them."""
        tasks = list(self._under_way.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _one(self, machine: str, fence: int, package: InstalledPackage) -> asyncio.Task[Json | None]:
        name = f"a{machine}.{fence}.{package.name}"
        task = self._under_way.get(name)
        if task is None:
            order: dict[str, Any] = {
                "kind": "install",
                "dir": package.directory,
                "file": self._contents.path(package.digest),
            }

            async def run() -> Json | None:
                try:
                    outcome = await self._do(machine, fence, name, order)
                finally:
                    self._under_way.pop(name, None)
                if outcome is None or outcome.get("ok"):
                    return outcome
                said = (
                    f"The application package {package.application} {package.version} cannot be installed: "
                )
                return _failed(said + str(outcome.get("message")), outcome.get("details") or [])

            task = self._under_way[name] = asyncio.create_task(run(), name=f"install {name}")
        return task


async def unless_stopped(
    work: Coroutine[Any, Any, Json | None], stopping: asyncio.Event, what: str
) -> Json | None:
    """The outcome of the work, or a failure as soon as `stopping` is set; `what` was going on then, in words."""
    done = asyncio.ensure_future(work)
    stop = asyncio.ensure_future(stopping.wait())
    try:
        await asyncio.wait({done, stop}, return_when=asyncio.FIRST_COMPLETED)
        return done.result() if done.done() else _failed(f"The task was ended while {what}.")
    finally:
        done.cancel()
        stop.cancel()


def _failed(message: str, details: Sequence[Any] = ()) -> Json:
    return {"ok": False, "code": PACKAGE_ERROR, "message": message, "details": details}
