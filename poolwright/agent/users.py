"""Whom a task runs as: the automatic users of a machine and the named ones of its pool."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from poolwright.agent.layout import POOL_UID, POOL_USER, TASK_UID, TASK_USER, TASK_USERS


class UnknownUser(Exception):
    """No such account in this machine."""

    def __init__(self, message: str, name: str = "") -> None:
        super().__init__(message)
        self.name = name


@dataclass(frozen=True)
class Identity:
    """A user inside the machine. `number` is set for the user of a single task."""

    name: str
    uid: int
    gid: int
    home: str
    groups: tuple[int, ...] = ()
    number: int | None = None


ROOT = Identity("root", 0, 0, "/root")
_POOL = Identity(POOL_USER, POOL_UID, POOL_UID, f"/home/{POOL_USER}", (POOL_UID,))


class Users:
    """Gives out identities; those of single tasks go round, so an account is used again as late as possible."""

    def __init__(self, named: Iterable[str] = ()) -> None:
        self._named = tuple(named)
        self._taken: set[int] = set()
        self._next = 0

    def take(self, user: dict[str, Any]) -> Identity:
        """The identity for `{"scope","elevation","name"}`. Raises `UnknownUser`."""
        name = user.get("name")
        if name:
            return self._look_up(str(name))
        if user.get("elevation") == "admin":
            return ROOT
        if user.get("scope") != "task":
            return _POOL
        for _ in range(TASK_USERS):
            number = self._next
            self._next = (self._next + 1) % TASK_USERS
            if number not in self._taken:
                self._taken.add(number)
                uid = TASK_UID + number
                return Identity(f"{TASK_USER}{number}", uid, uid, "", (uid,), number)
        raise UnknownUser(f"all {TASK_USERS} task accounts are in use")

    def _look_up(self, name: str) -> Identity:
        if name not in self._named:
            known = ", ".join(self._named) or "none"
            text = f"the pool has no user account {name!r} on this node (its userAccounts: {known})"
            raise UnknownUser(text, name)
        try:
            found = _of_passwd(name)
        except OSError as failure:
            text = f"user account {name!r}: /etc/passwd cannot be read: {failure.strerror}"
            raise UnknownUser(text, name) from failure
        if found is None:
            raise UnknownUser(f"the user account {name!r} was removed from this node", name)
        return found

    def give_back(self, identity: Identity) -> None:
        """The task of this identity ended."""
        if identity.number is not None:
            self._taken.discard(identity.number)


def _of_passwd(name: str) -> Identity | None:
    """An account by the machine's own /etc/passwd (the host's name services know nothing of it)."""
    with open("/etc/passwd", encoding="utf-8", errors="replace") as stream:
        for line in stream:
            fields = line.rstrip("\n").split(":")
            if len(fields) >= 6 and fields[0] == name and fields[2].isdigit() and fields[3].isdigit():
                gid = int(fields[3])
                return Identity(name, int(fields[2]), gid, fields[5], (gid, *_groups_of(name)))
    return None


def _groups_of(name: str) -> list[int]:
    found = []
    try:
        with open("/etc/group", encoding="utf-8", errors="replace") as stream:
            for line in stream:
                fields = line.rstrip("\n").split(":")
                if len(fields) >= 4 and name in fields[3].split(",") and fields[2].isdigit():
                    found.append(int(fields[2]))
    except OSError:
        pass
    return found
