"""The engine contract over a `FakeFleet`, with an injected pause for the time a machine takes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from poolwright.domain.clock import MILLISECOND, Micros
from poolwright.engines.base import (
    Capabilities,
    EngineError,
    Login,
    Machine,
    MachineRequest,
    NotFound,
    Outcome,
)
from poolwright.engines.fake.fleet import FakeFleet

Pause = Callable[[Micros], Awaitable[None]]


class FakeEngine:
    """`Engine` in memory. `pause` waits on the owner's clock."""

    def __init__(
        self,
        fleet: FakeFleet,
        pause: Pause,
        boot: Micros = 50 * MILLISECOND,
        runs_os: frozenset[str] = frozenset({"linux"}),
    ) -> None:
        self._runs_os = runs_os
        self.fleet = fleet
        self._pause = pause
        self._boot = boot
        self.logins: dict[str, tuple[Login, ...]] = {}

    @property
    def name(self) -> str:
        return "fake"

    async def capabilities(self) -> Capabilities:
        """Everything, as nothing is real."""
        limits = frozenset({"cpu", "memory", "pids"})
        return Capabilities(usable=True, runs_os=self._runs_os, isolates=False, limits=limits)

    async def create(self, requests: Sequence[MachineRequest]) -> list[Outcome]:
        outcomes = self.fleet.create(requests)
        if requests:
            await self._pause(self._boot)
        return outcomes

    async def machines(self) -> list[Machine]:
        return self.fleet.machines()

    async def delete(self, names: Sequence[str], *, keep_storage: bool = False) -> list[EngineError | None]:
        if names:
            await self._pause(self._boot // 10)
        return self.fleet.delete(names, keep_storage)

    async def set_logins(self, name: str, logins: Sequence[Login]) -> None:
        if name not in {machine.name for machine in self.fleet.machines()}:
            raise NotFound(f"no machine {name}")
        await self._pause(self._boot // 10)
        self.logins[name] = tuple(logins)

    async def close(self) -> None:
        """Nothing to let go of."""
