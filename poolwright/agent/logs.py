"""What the host agent can tell of one machine: the lines of its own log about it, and how the machine is made."""

from __future__ import annotations

import json
import os
from typing import Any

TAIL_MAX = 4 * 1024 * 1024  # of a log, from its end: logs are turned over at that size
LINES_MAX = 1024 * 1024  # bytes told of one machine

_LOGS = ("agent.log.1", "agent.log")


def of_machine(directory: str, machine: dict[str, Any]) -> list[list[str]]:
    """Pairs of file name and text. `directory` holds the host agent's logs, `machine` is its public form."""
    lines: list[str] = []
    for name in _LOGS:
        lines += [
            line for line in _tail(os.path.join(directory, name)) if _mentions(line, str(machine["name"]))
        ]
    text = "".join(lines)[-LINES_MAX:]
    return [["agent.log", text], ["machine.json", json.dumps(machine, indent=1, sort_keys=True) + "\n"]]


def _mentions(line: str, name: str) -> bool:
    """Whether a line is about this machine, not about one whose name begins alike."""
    return f" {name}" in line and name in line.replace(":", " ").replace(",", " ").split()


def _tail(path: str) -> list[str]:
    try:
        with open(path, "rb") as stream:
            size = stream.seek(0, os.SEEK_END)
            stream.seek(max(0, size - TAIL_MAX))
            return stream.read().decode(errors="replace").splitlines(keepends=True)
    except OSError:
        return []
