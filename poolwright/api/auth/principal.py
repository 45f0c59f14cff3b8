"""Who is calling."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, Protocol

PrincipalKind = Literal["sharedkey", "token", "task"]


@dataclass(frozen=True, slots=True)
class Principal:
    """An authenticated caller.

    `account` is the batch account a shared key or a task token belongs to (None for a token, which is
    bound to no account); `object_id` is the caller's directory id, or the account name for a shared key;
    `job` is set for a task token only: the one job it may touch.
    """

    kind: PrincipalKind
    account: str | None
    object_id: str
    name: str
    roles: frozenset[str] = frozenset()
    job: str | None = None


@dataclass(frozen=True, slots=True)
class ServicePrincipal:
    """An application that may ask for tokens. `secret_hashes` may hold two while a secret is rotated."""

    client_id: str
    object_id: str
    name: str
    secret_hashes: tuple[str, ...] = field(repr=False)
    roles: frozenset[str]
    enabled: bool = True


class Principals(Protocol):
    """Where service principals are looked up."""

    def find(self, client_id: str) -> ServicePrincipal | None:
        """The principal with this client id (compared without regard to case), or None.

        Called on the event loop, so it must answer from memory or by one indexed read.
        """
