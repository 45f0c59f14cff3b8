"""The shipped fake engine behind a connection: calls that do not arrive, answers that are lost, births that fail."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import TypeVar

from poolwright.domain.clock import MILLISECOND, SECOND, Micros
from poolwright.engines.base import (
    Capabilities,
    EngineError,
    Login,
    Machine,
    MachineRequest,
    Outcome,
    Transient,
)
from poolwright.engines.fake import FakeEngine
from poolwright.sim.host import Host
from poolwright.sim.virtual import Wait

T = TypeVar("T")


async def _pause(micros: Micros) -> None:
    await Wait(micros)


class HostEngine:
    """Makes and removes machines of a host."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._fake = FakeEngine(host.fleet, _pause)

    @property
    def name(self) -> str:
        return self._fake.name

    async def capabilities(self) -> Capabilities:
        return await self._fake.capabilities()

    async def create(self, requests: Sequence[MachineRequest]) -> list[Outcome]:
        outcomes = await self._call(lambda: self._create(requests))
        for outcome in outcomes:
            if isinstance(outcome, Machine) and self._host.rng.random() < self._host.faults.broken_birth:
                wait = self._host.rng.randrange(SECOND)
                self._host.time.after(wait, lambda made=outcome: self._die(made))  # type: ignore[misc]
        return outcomes

    async def machines(self) -> list[Machine]:
        return await self._call(self._fake.machines)

    async def delete(self, names: Sequence[str], *, keep_storage: bool = False) -> list[EngineError | None]:
        for hear in () if keep_storage else self._host.deletes:
            hear(names)
        return await self._call(lambda: self._fake.delete(names, keep_storage=keep_storage))

    async def set_logins(self, name: str, logins: Sequence[Login]) -> None:
        await self._call(lambda: self._fake.set_logins(name, logins))

    async def close(self) -> None:
        """Nothing to let go of."""

    async def _call(self, do: Callable[[], Awaitable[T]]) -> T:
        host = self._host
        await _pause(host.rng.randrange(100 * MILLISECOND))
        if not host.connected or host.rng.random() < host.faults.failed_call:
            raise Transient("the call did not reach the agent")
        epoch = host.epoch
        answer = await do()
        await _pause(host.rng.randrange(100 * MILLISECOND))
        if epoch != host.epoch or host.rng.random() < host.faults.lost_answer:
            raise Transient("the answer was lost")
        return answer

    async def _create(self, requests: Sequence[MachineRequest]) -> list[Outcome]:
        """A disk that was removed meanwhile is no disk; one that a machine may be made of now is in use from now on."""
        host = self._host
        asked = [replace(r, os_disk=r.os_disk if host.has_disk(r.os_disk) else "") for r in requests]
        running = {(machine.name, machine.fence) for machine in host.fleet.machines()}
        for request in asked:
            if (request.name, request.fence) not in running:  # the same life again is the same machine
                host.disks[request.name, request.fence] = request.os_disk
        return await self._fake.create(asked)

    def _die(self, made: Machine) -> None:
        if made in self._host.fleet.machines():
            self._host.lose([made.name])
