"""Stands in for machines on a host that cannot have any: every request is refused with the reason."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from poolwright.agent import syscalls
from poolwright.agent.machines import Machine, Outcomes
from poolwright.engines.sandbox.host.layout import Layout


def why_unusable(layout: Layout) -> str | None:
    """What this host lacks, found by trying; None when machines can be made. Needs a private mount table."""
    if not os.path.exists("/dev/loop-control"):
        return "this host has no loop devices (/dev/loop-control is missing)"
    trial = os.path.join(layout.run, "trial")
    for name in ("lower", "upper", "work", "merged"):
        os.makedirs(os.path.join(trial, name), exist_ok=True)
    options = ",".join(f"{name}dir={os.path.join(trial, name)}" for name in ("lower", "upper", "work"))
    try:
        syscalls.mount("overlay", os.path.join(trial, "merged"), "overlay", 0, options)
    except OSError as failure:
        return f"the data directory's file system cannot carry overlays: {failure.strerror}"
    syscalls.umount(os.path.join(trial, "merged"), syscalls.MNT_DETACH)
    return None


class UnusableMachines:
    """`Machines` without any machine."""

    def __init__(self, reason: str) -> None:
        self._reason = reason

    def sweep(self) -> Sequence[Machine]:
        return []

    def has(self, _name: str) -> bool:
        return False

    def running(self) -> Sequence[Machine]:
        return []

    def is_idle(self) -> bool:
        return True

    def is_busy(self) -> bool:
        return False

    def all(self) -> list[dict[str, Any]]:
        return []

    def create(self, requests: Sequence[dict[str, Any]], done: Outcomes) -> None:
        done([self._refused("Rejected", f"machines cannot be made here: {self._reason}") for _ in requests])

    def delete(self, names: Sequence[str], keep_storage: bool, done: Outcomes) -> None:  # noqa: ARG002
        done([self._refused("NotFound", f"no machine {name}") for name in names])

    def purge(self, names: Sequence[str], done: Outcomes) -> None:  # noqa: ARG002
        done([])

    def socket_path(self, name: str) -> str:
        raise FileNotFoundError(name)

    def files_root(self, name: str) -> str:
        raise FileNotFoundError(name)

    def process(self, name: str) -> tuple[int, int]:
        raise KeyError(name)

    def empty_trash(self, name: str, directory: str) -> None:
        """Nothing to delete."""

    def usage(self, name: str) -> dict[str, int] | None:  # noqa: ARG002
        return None

    def expose(self, front: str, port: int | None, opened: tuple[int, ...] = ()) -> None:
        """Nothing to expose."""

    def speak_for(self, authority: str) -> None:
        """Nobody to tell."""

    def facts(self) -> dict[str, Any]:
        missing = [{"what": "sandbox machines", "consequence": f"none can be made: {self._reason}"}]
        return {"usable": False, "limits": [], "network": False, "missing": missing}

    def close(self) -> None:
        """Nothing to let go of."""

    @staticmethod
    def _refused(kind: str, message: str) -> dict[str, Any]:
        return {"ok": False, "error": {"kind": kind, "message": message}}
