"""The engine contract on a simulated host, with calls that fail, answers that are lost, and no room."""

from __future__ import annotations

from collections.abc import Sequence

from poolwright.domain.clock import MILLISECOND, SECOND
from poolwright.engines.base import (
    Capabilities,
    EngineError,
    Machine,
    MachineRequest,
    NoCapacity,
    NotFound,
    Outcome,
    Rejected,
    Transient,
)
from poolwright.sim.host import Host, SimMachine
from poolwright.sim.virtual import Wait


class HostEngine:
    """Makes and removes machines of a host."""

    def __init__(self, host: Host) -> None:
        self._host = host

    @property
    def name(self) -> str:
        return "sim"

    async def capabilities(self) -> Capabilities:
        return Capabilities(usable=True)

    async def create(self, requests: Sequence[MachineRequest]) -> list[Outcome]:
        epoch = await self._call()
        outcomes = [self._create(request) for request in requests]
        await self._answer(epoch)
        return outcomes

    async def machines(self) -> list[Machine]:
        epoch = await self._call()
        found = [_seen(machine) for machine in self._host.machines.values()]
        await self._answer(epoch)
        return found

    async def delete(self, names: Sequence[str], *, keep_storage: bool = False) -> list[EngineError | None]:
        del keep_storage  # processes leave no files here
        epoch = await self._call()
        gone = self._host.machines.pop
        outcomes: list[EngineError | None] = [
            NotFound(name) if gone(name, None) is None else None for name in names
        ]
        await self._answer(epoch)
        return outcomes

    async def close(self) -> None:
        """Nothing to let go of."""

    async def _call(self) -> int:
        await self._latency()
        host = self._host
        if not host.connected or host.rng.random() < host.faults.failed_call:
            raise Transient("the call did not reach the agent")
        return host.epoch

    async def _answer(self, epoch: int) -> None:
        await self._latency()
        host = self._host
        if epoch != host.epoch or host.rng.random() < host.faults.lost_answer:
            raise Transient("the answer was lost")

    async def _latency(self) -> None:
        await Wait(self._host.rng.randrange(200 * MILLISECOND))

    def _create(self, request: MachineRequest) -> Outcome:
        host = self._host
        known = host.machines.get(request.name)
        if known is not None and known.fence == request.fence:
            return _seen(known)
        if known is not None and known.fence > request.fence:
            return Rejected(f"{request.name} lives under fence {known.fence}")
        host.machines.pop(request.name, None)
        if host.rng.random() < host.faults.no_capacity or len(host.machines) >= host.room:
            return NoCapacity("the host is full")
        made = host.machines[request.name] = SimMachine(request.name, request.fence, request)
        if host.rng.random() < host.faults.broken_birth:
            host.time.after(host.rng.randrange(SECOND), lambda: self._die(made))
        return _seen(made)

    def _die(self, machine: SimMachine) -> None:
        if self._host.machines.get(machine.name) is machine:
            self._host.lose([machine.name])


def _seen(machine: SimMachine) -> Machine:
    return Machine(machine.name, machine.fence, "node", "running", "10.0.0.1")
