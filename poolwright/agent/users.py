"""Whom a task runs as: the automatic users of a machine and the named ones of its image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from poolwright.agent.layout import POOL_UID, POOL_USER, TASK_UID, TASK_USER, TASK_USERS


class UnknownUser(Exception):
    """No such account in this machine."""


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

    def __init__(self) -> None:
        self._taken: set[int] = set()
        self._next = 0

    def take(self, user: dict[str, Any]) -> Identity:
        """The identity for `{"scope","elevation","name"}`. Raises `UnknownUser`."""
        name = user.get("name")
        if name:
            return _look_up(str(name))
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

    def give_back(self, identity: Identity) -> None:
        """The task of this identity ended."""
        if identity.number is not None:
            self._taken.discard(identity.number)


def _look_up(name: str) -> Identity:
    """An account of the image's own /etc/passwd (the host's name services know nothing of it)."""
    try:
        with open("/etc/passwd", encoding="utf-8", errors="replace") as stream:
            for line in stream:
                fields = line.rstrip("\n").split(":")
                if len(fields) >= 6 and fields[0] == name and fields[2].isdigit() and fields[3].isdigit():
                    gid = int(fields[3])
                    return Identity(name, int(fields[2]), gid, fields[5], (gid, *_groups_of(name)))
    except OSError as failure:
        raise UnknownUser(f"user {name}: /etc/passwd cannot be read: {failure.strerror}") from failure
    raise UnknownUser(f"user {name}: this machine has no such account")


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
