"""Run commands: each is run at most once, and its end is written down."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Iterable

from poolwright.domain.clock import Clock
from poolwright.domain.resource import Operation
from poolwright.engines.base import EngineError, NotFound, Rejected
from poolwright.reconcile import resources_record as record
from poolwright.reconcile.resources_apply import Commander
from poolwright.store.base import Store

_LOG = logging.getLogger(__name__)
_GRACE_S = 60.0  # beyond the script's own limit before the answer is given up
_UNKNOWN = "RunCommandOutcomeUnknown"


class Scripts:
    """The scripts this process is running, by operation id."""

    def __init__(self, store: Store, commander: Commander, clock: Clock) -> None:
        self._store = store
        self._commander = commander
        self._clock = clock
        self._tasks: dict[str, asyncio.Task[None]] = {}

    @property
    def live(self) -> frozenset[str]:
        """Operations whose script runs now."""
        return frozenset(self._tasks)

    async def start(self, operation: Operation, machine: str) -> None:
        """Record that the script begins, then let it run beside the loop."""
        if operation.id in self._tasks:
            return
        now = self._clock.now()
        begun = await self._store.write(lambda tx: record.script_begins(tx, now, operation.id))
        if begun is None:
            return
        self._tasks[operation.id] = asyncio.create_task(
            self._run(begun, machine), name=f"script {operation.id}"
        )

    async def fail(self, operation: Operation, code: str, message: str) -> None:
        """Record that a script has failed or will not run."""
        now = self._clock.now()
        await self._store.write(lambda tx: record.script_ends(tx, now, operation.id, None, (code, message)))

    async def stop(self, operations: Iterable[str]) -> None:
        """Give up waiting for these scripts: their machine is being taken away."""
        tasks = [self._tasks.pop(id) for id in operations if id in self._tasks]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def close(self) -> None:
        """Give up waiting for all."""
        await self.stop(list(self._tasks))

    async def _run(self, operation: Operation, machine: str) -> None:
        request = json.loads(operation.request)
        try:
            result, error = await self._ask(machine, request["script"], request["timeout_s"])
            now = self._clock.now()
            await self._store.write(lambda tx: record.script_ends(tx, now, operation.id, result, error))
        finally:
            self._tasks.pop(operation.id, None)

    async def _ask(
        self, machine: str, script: list[str], timeout_s: float
    ) -> tuple[dict[str, str | int] | None, tuple[str, str] | None]:
        try:
            async with asyncio.timeout(timeout_s + _GRACE_S):
                done = await self._commander.command(machine, script, timeout_s)
        except NotFound:
            return None, ("VMNotRunning", "The machine was gone before the script could be run.")
        except Rejected as problem:
            return None, ("RunCommandRejected", str(problem))
        except TimeoutError:
            text = f"The script gave no answer within {timeout_s:.0f} s; it may have run in part."
            return None, ("RunCommandTimedOut", text)
        except EngineError as problem:
            text = f"The connection to the machine was lost while the script ran, so its outcome is unknown: {problem}"
            return None, (_UNKNOWN, text)
        return {"exit_code": done.exit_code, "stdout": done.stdout, "stderr": done.stderr}, None
