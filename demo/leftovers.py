"""What a run could have left behind on the host: looked for, not assumed."""

from __future__ import annotations

import hashlib
import os
import subprocess
from pathlib import Path


def leftovers(data_dir: Path) -> list[str]:
    """Everything on the host that belongs to the data directory; [] when nothing is left.

    Network links, packet filter tables and control groups bear a tag: the first eight hexadecimal digits of the
    SHA-256 of the directory's real path.
    """
    place = str(data_dir)
    tag = hashlib.sha256(os.path.realpath(place).encode()).hexdigest()[:8]
    mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    found = [f"mount: {line.split()[4]}" for line in mounts if place in line]
    loops = _lines("losetup", "--list", "--noheadings", "--output", "NAME,BACK-FILE")
    found += [f"loop device: {line}" for line in loops if place in line]
    links = _lines("ip", "-o", "link")
    found += [f"network link: {line.split(':')[1].strip()}" for line in links if f"pw{tag}" in line]
    found += [
        f"packet filter: {line}" for line in _lines("nft", "list", "tables") if f"poolwright_{tag}" in line
    ]
    groups = Path("/sys/fs/cgroup").glob(f"**/poolwright-{tag}")
    found += [f"control group: {group}" for group in groups]
    return found + _processes(place)


def _processes(place: str) -> list[str]:
    """Processes that name the directory; not those who look, whose own words may name it."""
    found = []
    lookers = _lookers()
    for process in Path("/proc").glob("[0-9]*"):
        if process.name in lookers:
            continue
        try:
            command = process.joinpath("cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue  # it has ended meanwhile
        if f"--data-dir {place}" in command:
            found.append(f"process {process.name}: {command.strip()[:120]}")
    return found


def _lookers() -> set[str]:
    """This process and all above it (proc_pid_stat(5): the parent is the second field after the name)."""
    found: set[str] = set()
    process = str(os.getpid())
    while process != "0" and process not in found:
        found.add(process)
        try:
            process = Path("/proc", process, "stat").read_text().rpartition(")")[2].split()[1]
        except OSError:
            break  # it has ended meanwhile
    return found


def _lines(*command: str) -> list[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.splitlines()
