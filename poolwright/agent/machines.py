"""What the host agent asks of whatever makes machines on its host. The sandbox engine's host side is one such."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

Outcomes = Callable[[list[dict[str, Any]]], None]


class Machine(Protocol):
    """One running machine."""

    @property
    def name(self) -> str: ...

    @property
    def fence(self) -> int: ...

    @property
    def address(self) -> str | None: ...

    @property
    def troubles(self) -> list[dict[str, Any]]:
        """What went wrong at its birth, though it runs: code, message, details."""
        ...


class Machines(Protocol):
    """All machines of a host agent. Outcomes and machines are in the JSON forms of the agent protocol."""

    def sweep(self) -> Sequence[Machine]:
        """Take over what an earlier host agent left; the machines found dead. Called once, first."""
        ...

    def has(self, name: str) -> bool: ...

    def running(self) -> Sequence[Machine]: ...

    def is_idle(self) -> bool:
        """No machine runs, is being made or being ended."""
        ...

    def is_busy(self) -> bool:
        """A machine is being made or being ended."""
        ...

    def all(self) -> list[dict[str, Any]]: ...

    def create(self, requests: Sequence[dict[str, Any]], done: Outcomes) -> None: ...

    def delete(self, names: Sequence[str], keep_storage: bool, done: Outcomes) -> None: ...

    def purge(self, names: Sequence[str], done: Outcomes) -> None: ...

    def socket_path(self, name: str) -> str:
        """Where the machine's node agent listens."""
        ...

    def files_root(self, name: str) -> str:
        """The machine's node root directory, seen from the host."""
        ...

    def process(self, name: str) -> tuple[int, int]:
        """The process id of a running machine's first process on this host, and its start (proc(5), stat field 22)."""
        ...

    def empty_trash(self, name: str, directory: str) -> None:
        """Delete what is in a directory below the node root, in its own time."""
        ...

    def usage(self, name: str) -> dict[str, int] | None:
        """What a running machine has used since its birth, None where that cannot be told."""
        ...

    def expose(self, front: str, port: int | None, opened: tuple[int, ...] = ()) -> None:
        """Where forwarded ports are reached (an IPv4 address of the host, or 0.0.0.0), the service's own port, and
        ports of the host that are `opened` to machines."""
        ...

    def speak_for(self, authority: str) -> None:
        """The authority (PEM) that issued the service's certificate: machines made from now on are told."""
        ...

    def facts(self) -> dict[str, Any]:
        """`usable`, `limits`, `network` and `missing` of the capabilities."""
        ...

    def close(self) -> None: ...


MachinesMaker = Callable[[Any, Callable[[Machine], None], Callable[[Machine], None]], Machines]
"""Called with the loop and what to call when a machine came and when one died."""
