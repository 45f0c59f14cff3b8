"""What a run could have left behind on the host: looked for, not assumed."""

from __future__ import annotations

import subprocess
from pathlib import Path


def leftovers(data_dir: Path) -> list[str]:
    """Mounts, loop devices and processes that belong to the data directory; [] when nothing is left."""
    needle = str(data_dir)
    mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    found = [f"mount: {line.split()[4]}" for line in mounts if needle in line]
    loops = subprocess.run(
        ["losetup", "--list", "--noheadings", "--output", "NAME,BACK-FILE"],
        capture_output=True,
        text=True,
        check=False,
    )
    found += [f"loop device: {line}" for line in loops.stdout.splitlines() if needle in line]
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = process.joinpath("cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if f"--data-dir {needle}" in command:
            found.append(f"process {process.name}: {command.strip()[:120]}")
    links = subprocess.run(["ip", "-o", "link"], capture_output=True, text=True, check=False).stdout
    found += [f"network link: {line.split(':')[1].strip()}" for line in links.splitlines() if ": pw" in line]
    return found
