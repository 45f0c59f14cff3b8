"""What a test run leaves behind on the host: loop devices, mounts, network namespaces, links, cgroups, processes.

A host may be shared, so a thing counts as ours only when it says so: a process by the mark in its environment or by
its place under our temporary folder, a mount or loop device by that folder. Names of links, namespaces, cgroups and
packet filter tables say nothing about their maker; those count where the run has the machine to itself (`CI` or
POOLWRIGHT_LEAKS=strict) and are only shown elsewhere.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

MARK = "POOLWRIGHT_TEST_RUN"
"""Environment variable that every process started by a run inherits; a worker adds its own name after a dot, so that
a watch kept by a worker is not told about what the others do meanwhile, and that of the whole run is."""

_SETTLE_S = float(os.environ.get("POOLWRIGHT_LEAKS_SETTLE_S", "10"))
"""What was told to end may still be ending: looked at again until then."""
_INTERVAL_S = 0.05
_CGROUP_DEPTH = 4
_PROC = Path("/proc")
_PYTHON_HELPER = b"multiprocessing.resource_tracker"
"""Python's own helper lives as long as the interpreter that needed it."""


@dataclass(frozen=True, slots=True, order=True)
class Thing:
    """Something on the host: its kind, what it is called, and whether its owner can be told from it."""

    kind: str
    name: str
    attributable: bool


@dataclass(frozen=True, slots=True)
class Leaks:
    """New things: `ours` for certain, and `unclear` ones that may belong to somebody else on the host."""

    ours: list[Thing]
    unclear: list[Thing]


class Watch:
    """Compares the host at the end of a run with what it was when the watch was made."""

    def __init__(self, folder: Path, *, strict: bool | None = None) -> None:
        """Watch for what belongs to `folder`; `strict` counts the unclear too (None: the environment decides)."""
        self.folder = folder.resolve()
        self.strict = _strict_by_environment() if strict is None else strict
        self.mark = os.environ.setdefault(MARK, uuid.uuid4().hex)
        self._before = set(self._things())

    def leaks(self, settle_s: float = _SETTLE_S) -> Leaks:
        """What is new and still there after at most `settle_s` seconds."""
        end = time.monotonic() + settle_s
        while True:
            new = sorted(set(self._things()) - self._before)
            ours = [thing for thing in new if thing.attributable or self.strict]
            if not ours or time.monotonic() >= end:
                return Leaks(ours, [thing for thing in new if thing not in ours])
            time.sleep(_INTERVAL_S)

    def _things(self) -> Iterator[Thing]:
        yield from self._processes()
        yield from self._mounts()
        yield from self._loop_devices()
        for kind, names in _unattributable().items():
            yield from (Thing(kind, name, attributable=False) for name in names)

    def _processes(self) -> Iterator[Thing]:
        ignored = _ancestors(os.getpid())
        for entry in _PROC.iterdir():
            if entry.name.isdigit() and int(entry.name) not in ignored and self._is_ours(entry):
                yield Thing("process", f"{entry.name} {_command(entry)}", attributable=True)

    def _is_ours(self, process: Path) -> bool:
        if _PYTHON_HELPER in _read(process / "cmdline"):
            return False
        mark = f"{MARK}={self.mark}".encode()
        if any(
            word == mark or word.startswith(mark + b".") for word in _read(process / "environ").split(b"\0")
        ):
            return True
        folder = os.fsencode(self.folder)
        if any(part.startswith(folder) for part in _read(process / "cmdline").split(b"\0")):
            return True
        return any(self._below(_link(process / name)) for name in ("cwd", "root"))

    def _mounts(self) -> Iterator[Thing]:
        """Lines of mountinfo (proc_pid_mountinfo(5)): field 4 is the root within the source, 5 the mount point."""
        for line in _read(_PROC / "self" / "mountinfo").decode("utf-8", "replace").splitlines():
            fields = line.split()
            if self._below(fields[4]) or self._below(fields[3]):
                yield Thing("mount", fields[4], attributable=True)

    def _loop_devices(self) -> Iterator[Thing]:
        for backing in Path("/sys/block").glob("loop*/loop/backing_file"):
            file = _read(backing).decode("utf-8", "replace").strip()
            if file:
                yield Thing("loop device", f"{backing.parts[3]} of {file}", attributable=self._below(file))

    def _below(self, place: str) -> bool:
        return place == str(self.folder) or place.startswith(f"{self.folder}/")


def _strict_by_environment() -> bool:
    wish = os.environ.get("POOLWRIGHT_LEAKS", "")
    return wish == "strict" or (not wish and os.environ.get("CI", "").lower() in ("1", "true"))


def _unattributable() -> dict[str, list[str]]:
    return {
        "network link": _names(Path("/sys/class/net")),
        "network namespace": _names(Path("/run/netns")),
        "cgroup": list(cgroups()),
        "packet filter table": _filter_tables(),
    }


def _filter_tables() -> list[str]:
    """Tables of nftables with our product's name; none where the program or the right to ask is missing."""
    nft = shutil.which("nft", path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"]))
    if nft is None or os.geteuid() != 0:
        return []
    listed = subprocess.run([nft, "list", "tables"], capture_output=True, text=True, check=False, timeout=30)
    return [line for line in listed.stdout.splitlines() if "poolwright" in line]


def _names(folder: Path) -> list[str]:
    try:
        return sorted(entry.name for entry in folder.iterdir())
    except OSError:
        return []


def cgroups(folder: Path = Path("/sys/fs/cgroup"), depth: int = _CGROUP_DEPTH) -> Iterator[str]:
    """Control groups with our product's name, in the unified or the older hierarchies. Others of a host come and go
    while it looks."""
    try:
        children = [Path(entry.path) for entry in os.scandir(folder) if entry.is_dir(follow_symlinks=False)]
    except OSError:
        return
    for child in children:
        if "poolwright" in child.name:
            yield str(child)
        elif depth > 1:
            yield from cgroups(child, depth - 1)


def _ancestors(pid: int) -> set[int]:
    """The process itself and all above it."""
    found = set()
    while pid and pid not in found:
        found.add(pid)
        status = _read(_PROC / str(pid) / "stat").rpartition(b")")[2].split()
        pid = int(status[1]) if len(status) > 1 else 0
    return found


def _command(process: Path) -> str:
    words = _read(process / "cmdline").replace(b"\0", b" ").decode("utf-8", "replace").strip()
    return words[:200] or _read(process / "comm").decode("utf-8", "replace").strip()


def _read(file: Path) -> bytes:
    """The content of a file that may vanish or be refused while it is read."""
    try:
        return file.read_bytes()
    except OSError:
        return b""


def _link(file: Path) -> str:
    try:
        return str(file.readlink())
    except OSError:
        return ""
