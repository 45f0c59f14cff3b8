"""An engine of build machines in memory, with faults on order, and a commander that answers from a script."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from poolwright.engines.base import (
    Capabilities,
    EngineError,
    Machine,
    MachineRequest,
    NotFound,
    Outcome,
    Rejected,
)
from poolwright.reconcile.resources_apply import ScriptOutcome


@dataclass(slots=True)
class MemoryEngine:
    """Keeps the rules of the contract: names chosen by the caller, fences that only grow, storage kept on demand."""

    name: str = "memory"
    held: dict[str, Machine] = field(default_factory=dict)
    stored: set[str] = field(default_factory=set)
    requests: list[MachineRequest] = field(default_factory=list)
    born: str = "running"  # the state new machines come up in
    faults: dict[str, list[tuple[EngineError, bool]]] = field(default_factory=dict)

    def fail_next(self, op: str, error: EngineError, *, after: bool = False) -> None:
        """The next call of `op` fails: instead of acting, or after it has acted."""
        self.faults.setdefault(op, []).append((error, after))

    def lose(self, name: str) -> None:
        """The machine vanishes, as when its host restarts."""
        self.held.pop(name)

    async def capabilities(self) -> Capabilities:
        return Capabilities(usable=True)

    async def create(self, requests: Sequence[MachineRequest]) -> list[Outcome]:
        return [self._create(request) for request in requests]

    def _create(self, request: MachineRequest) -> Outcome:
        error, after = self._fault("create")
        if error is not None and not after:
            return error
        known = self.held.get(request.name)
        if known is not None and known.fence > request.fence:
            return Rejected(f"{request.name} has fence {known.fence}")
        if known is None or known.fence < request.fence:
            self.requests.append(request)
            known = Machine(request.name, request.fence, request.kind, self.born, "10.201.0.7")
        self.held[request.name] = known
        self.stored.add(request.name)
        return error or known

    async def machines(self) -> list[Machine]:
        error, _ = self._fault("machines")
        if error is not None:
            raise error
        return list(self.held.values())

    async def delete(self, names: Sequence[str], *, keep_storage: bool = False) -> list[EngineError | None]:
        return [self._delete(name, keep_storage) for name in names]

    def _delete(self, name: str, keep_storage: bool) -> EngineError | None:
        error, after = self._fault("delete")
        if error is not None and not after:
            return error
        there = name in self.held or (not keep_storage and name in self.stored)
        self.held.pop(name, None)
        if not keep_storage:
            self.stored.discard(name)
        return error or (None if there else NotFound(name))

    async def set_logins(self, name: str, logins: Sequence[object]) -> None:
        raise AssertionError("build machines have no users of nodes")

    async def close(self) -> None:
        return None

    def _fault(self, op: str) -> tuple[EngineError | None, bool]:
        waiting = self.faults.get(op)
        return waiting.pop(0) if waiting else (None, False)


@dataclass(slots=True)
class MemoryCommander:
    """Answers scripts; with a gate, only once it is opened."""

    answer: ScriptOutcome = ScriptOutcome(0, "hello\n", "")
    error: EngineError | None = None
    gate: asyncio.Event | None = None
    ran: list[tuple[str, tuple[str, ...]]] = field(default_factory=list)

    async def command(self, machine: str, script: list[str], timeout_s: float) -> ScriptOutcome:
        self.ran.append((machine, tuple(script)))
        if self.gate is not None:
            await self.gate.wait()
        if self.error is not None:
            raise self.error
        return self.answer
