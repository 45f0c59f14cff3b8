"""Limits of a machine by control groups, version 1 and 2 behind one class.

Version 1 has a tree per controller, version 2 one tree; a hybrid host may have a controller in either.
Groups are made below the host agent's own group where that is possible, so limits set on it hold for machines.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

_CONTROLLERS = ("cpu", "memory", "pids")
_PERIOD_US = 100_000


@dataclass(frozen=True)
class Limits:
    """What a machine may use: processor cores, memory in MiB, processes."""

    cores: float
    memory_mib: int
    pids: int


@dataclass(frozen=True)
class Group:
    """Control group directories of one machine, the limits in force and the reasons for those that are not."""

    directories: tuple[str, ...]
    applied: tuple[str, ...]
    notes: tuple[str, ...]


class ControlGroups:
    """Makes and removes the groups of one data directory; `tag` keeps those of others apart."""

    def __init__(
        self, tag: str, mounts_file: str = "/proc/self/mounts", own_file: str = "/proc/self/cgroup"
    ) -> None:
        self._bases: dict[str, str] = {}  # controller -> directory
        self._versions: dict[str, int] = {}
        self._reasons: dict[str, str] = {}
        self._tag = f"poolwright-{tag}"
        self._locate(mounts_file, own_file)

    def available(self) -> frozenset[str]:
        """Controllers that can be used here."""
        return frozenset(self._bases)

    def reasons(self) -> dict[str, str]:
        """Why a controller cannot be used."""
        return dict(self._reasons)

    def make(self, name: str, limits: Limits) -> Group:
        """Make (or take over) the groups of machine `name` and set its limits."""
        directories: list[str] = []
        applied: list[str] = []
        notes = [f"no {controller} limit: {reason}" for controller, reason in sorted(self._reasons.items())]
        for controller, base in self._bases.items():
            directory = os.path.join(base, name)
            try:
                os.makedirs(directory, exist_ok=True)
                if directory not in directories:
                    directories.append(directory)
                self._set(controller, directory, limits)
                applied.append(controller)
            except OSError as failure:
                notes.append(f"no {controller} limit: {failure.strerror}")
        return Group(tuple(directories), tuple(applied), tuple(notes))

    def discard(self, directories: tuple[str, ...]) -> bool:
        """Remove a machine's groups; False when one still holds processes. What an earlier host agent, that itself
        was in another group, left above them goes too."""
        gone = remove(directories)
        foreign = {os.path.dirname(directory) for directory in directories} - set(self._bases.values())
        remove(tuple(foreign))
        return gone

    def sweep(self, keep: set[str]) -> None:
        """Remove groups of machines that are not in `keep`; one with live processes stays."""
        for base in set(self._bases.values()):
            if not os.path.isdir(base):
                continue
            for name in os.listdir(base):
                path = os.path.join(base, name)
                if name not in keep and os.path.isdir(path):
                    remove((path,))

    def close(self) -> None:
        """Remove the parents of all groups when they are empty."""
        remove(tuple(set(self._bases.values())))

    def _set(self, controller: str, directory: str, limits: Limits) -> None:
        version = self._versions[controller]
        if controller == "cpu":
            quota = max(1000, int(limits.cores * _PERIOD_US))
            if version == 2:
                _write(directory, "cpu.max", f"{quota} {_PERIOD_US}")
            else:
                _write(directory, "cpu.cfs_quota_us", str(quota))
        elif controller == "memory":
            name = "memory.max" if version == 2 else "memory.limit_in_bytes"
            _write(directory, name, str(limits.memory_mib << 20))
        else:
            _write(directory, "pids.max", str(limits.pids))

    def _locate(self, mounts_file: str, own_file: str) -> None:
        own = _own_groups(own_file)
        unified = None
        for mountpoint, kind, options in _cgroup_mounts(mounts_file):
            if kind == "cgroup2":
                unified = mountpoint
                continue
            for controller in _CONTROLLERS:
                if controller in options and controller in own:
                    self._use(controller, 1, mountpoint, own[controller])
        missing = [controller for controller in _CONTROLLERS if controller not in self._bases]
        if unified is not None and missing:
            self._locate_unified(unified, missing)
        for controller in _CONTROLLERS:
            if controller not in self._bases:
                self._reasons.setdefault(controller, "this host offers no such control group")

    def _locate_unified(self, mountpoint: str, wanted: list[str]) -> None:
        """Version 2 allows processes only in leaves, so groups stand below the root, not below a service's group."""
        offered = _read(mountpoint, "cgroup.controllers").split()
        base = os.path.join(mountpoint, self._tag)
        for controller in wanted:
            if controller not in offered:
                continue
            try:
                _write(mountpoint, "cgroup.subtree_control", f"+{controller}")
                os.makedirs(base, exist_ok=True)
                _write(base, "cgroup.subtree_control", f"+{controller}")
            except OSError as failure:
                self._reasons[controller] = f"control group cannot be used: {failure.strerror}"
                continue
            self._bases[controller] = base
            self._versions[controller] = 2

    def _use(self, controller: str, version: int, mountpoint: str, own: str) -> None:
        for parent in (os.path.join(mountpoint, own.lstrip("/")), mountpoint):
            base = os.path.join(parent, self._tag)
            try:
                os.makedirs(base, exist_ok=True)
            except OSError as failure:
                self._reasons[controller] = f"control group cannot be made: {failure.strerror}"
                continue
            self._bases[controller] = base
            self._versions[controller] = version
            self._reasons.pop(controller, None)
            return


def join(directories: tuple[str, ...]) -> None:
    """Move the calling process into the groups."""
    for directory in directories:
        _write(directory, "cgroup.procs", "0")


def remove(directories: tuple[str, ...]) -> bool:
    """Remove group directories; False when one still holds processes."""
    gone = True
    for directory in directories:
        try:
            os.rmdir(directory)
        except FileNotFoundError:
            pass
        except OSError:
            gone = False
    return gone


def _cgroup_mounts(mounts_file: str) -> list[tuple[str, str, list[str]]]:
    found = []
    with open(mounts_file, encoding="utf-8") as stream:
        for line in stream:
            _, mountpoint, kind, options = line.split()[:4]
            if kind in ("cgroup", "cgroup2"):
                found.append((mountpoint, kind, options.split(",")))
    return found


def _own_groups(own_file: str) -> dict[str, str]:
    groups: dict[str, str] = {}
    with open(own_file, encoding="utf-8") as stream:
        for line in stream:
            _, controllers, path = line.rstrip("\n").split(":", 2)
            for controller in controllers.split(","):
                groups[controller] = path
    return groups


def _read(directory: str, name: str) -> str:
    with open(os.path.join(directory, name), encoding="ascii") as stream:
        return stream.read()


def _write(directory: str, name: str, value: str) -> None:
    fd = os.open(os.path.join(directory, name), os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, value.encode())
    finally:
        os.close(fd)
