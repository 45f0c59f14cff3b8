"""Two engines as one: machines that run, and beside them those that are only pretended.

Which of the two a machine belongs to is told by its name, which the planners chose by what the engines can do
(`Capabilities.simulates`), for the machine's whole life.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol, TypeVar

from poolwright.domain.node import is_simulated
from poolwright.engines.base import Capabilities, Engine, EngineError, Login, Machine, MachineRequest, Outcome

Json = Mapping[str, Any]
Asked = TypeVar("Asked")
Answer = TypeVar("Answer")


class BesideEngine:
    """`Engine` over a real one and one that simulates."""

    def __init__(self, real: Engine, simulating: Engine) -> None:
        self._real = real
        self._simulating = simulating

    @property
    def name(self) -> str:
        return self._real.name

    async def capabilities(self) -> Capabilities:
        """Those of the real engine, and what the other may pretend."""
        pretended = await self._simulating.capabilities()
        return replace(await self._real.capabilities(), simulates=pretended.runs_os)

    async def create(self, requests: Sequence[MachineRequest]) -> list[Outcome]:
        names = [request.name for request in requests]
        real, simulated = _split(names, requests)
        answers = [await self._real.create(real) if real else [], await self._simulating.create(simulated)]
        return _joined(names, *answers)

    async def machines(self) -> list[Machine]:
        return [*await self._real.machines(), *await self._simulating.machines()]

    async def delete(self, names: Sequence[str], *, keep_storage: bool = False) -> list[EngineError | None]:
        real, simulated = _split(names, names)
        gone = await self._real.delete(real, keep_storage=keep_storage) if real else []
        return _joined(names, gone, await self._simulating.delete(simulated, keep_storage=keep_storage))

    async def set_logins(self, name: str, logins: Sequence[Login]) -> None:
        await (self._simulating if is_simulated(name) else self._real).set_logins(name, logins)

    async def close(self) -> None:
        await self._real.close()
        await self._simulating.close()


class Orders(Protocol):
    """Carries orders to agents, and knows what they hold."""

    def send_start(self, items: Sequence[Json]) -> object: ...
    def send_kill(self, items: Sequence[Json]) -> object: ...
    def ack(self, executions: Sequence[str], /) -> object: ...


class BesideFleet:
    """Orders for machines of both sorts."""

    def __init__(self, real: Orders, simulated: Orders) -> None:
        self._real = real
        self._simulated = simulated

    def send_start(self, items: Sequence[Json]) -> None:
        self._each(items, self._real.send_start, self._simulated.send_start)

    def send_kill(self, items: Sequence[Json]) -> None:
        self._each(items, self._real.send_kill, self._simulated.send_kill)

    def ack(self, executions: Sequence[str], /) -> None:
        """Names of executions do not tell their machine; an unknown one is nothing to either."""
        self._real.ack(executions)
        self._simulated.ack(executions)

    @staticmethod
    def _each(
        items: Sequence[Json],
        real: Callable[[Sequence[Json]], object],
        simulated: Callable[[Sequence[Json]], object],
    ) -> None:
        for send, part in zip((real, simulated), _split([i["machine"] for i in items], items), strict=True):
            if part:
                send(part)


class AgentListener(Protocol):
    """What the host agent's carrier tells."""

    def on_hello(self, hello: dict[str, Any]) -> None: ...
    def on_events(self, items: list[dict[str, Any]]) -> None: ...
    def on_beat(self, beat: dict[str, Any]) -> None: ...
    def on_disconnect(self) -> None: ...


class BesideListener:
    """Passes on what the host agent says. Its greeting is the whole truth, so what is simulated is added to it."""

    def __init__(self, listener: AgentListener) -> None:
        self._listener = listener
        self.simulated: Callable[[], dict[str, Any]] = dict
        self.on_events = listener.on_events
        self.on_beat = listener.on_beat
        self.on_disconnect = listener.on_disconnect

    def on_hello(self, hello: dict[str, Any]) -> None:
        added = self.simulated()
        both = {name: [*hello.get(name, ()), *added.get(name, ())] for name in ("machines", "execs")}
        self._listener.on_hello({**hello, **both})


def _split(names: Iterable[str], items: Iterable[Asked]) -> tuple[list[Asked], list[Asked]]:
    real: list[Asked] = []
    simulated: list[Asked] = []
    for name, item in zip(names, items, strict=True):
        (simulated if is_simulated(name) else real).append(item)
    return real, simulated


def _joined(names: Iterable[str], real: Iterable[Answer], simulated: Iterable[Answer]) -> list[Answer]:
    """The answers of both, in the order of the names."""
    first, second = iter(real), iter(simulated)
    return [next(second if is_simulated(name) else first) for name in names]
