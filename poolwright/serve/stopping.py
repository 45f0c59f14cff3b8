"""Ending the service and the machines of a data directory from outside: `poolwright down`.

Apart from what runs the service, so that ending it does not load it.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import signal
import time
from pathlib import Path

from poolwright.engines.sandbox.launcher import HostAgentProcess
from poolwright.store.lock import LOCK_NAME

_STOP_S = 60.0


class StillRunning(Exception):
    """Something of a data directory did not end in time."""


def stop(data_dir: Path) -> str:
    """End the service and every machine of a data directory; returns what was done. Records and disks stay.

    Raises StillRunning when the service or the host agent does not end within a minute.
    """
    if not data_dir.is_dir():
        return f"nothing to stop: there is no data directory {data_dir}"
    done = []
    pid = _service_pid(data_dir)
    if pid is not None:
        os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + _STOP_S
        while _service_pid(data_dir) is not None and time.monotonic() < deadline:
            time.sleep(0.05)
        if _service_pid(data_dir) == pid:
            raise StillRunning(f"the service (process {pid}) did not end within {_STOP_S:.0f} s")
        done.append(f"the service (process {pid}) has ended")
    asyncio.run(_end_machines(data_dir))
    done.append("no machine is left running")
    return "; ".join(done)


async def _end_machines(data_dir: Path) -> None:
    """A host agent without any patience for an absent service takes everything down and ends."""
    patient = HostAgentProcess(data_dir)
    await patient.stop()
    hasty = HostAgentProcess(data_dir, grace_s=0.0)
    hasty.start(again=False)
    deadline = time.monotonic() + _STOP_S
    try:
        while hasty.pid() is not None and time.monotonic() < deadline:  # noqa: ASYNC110 - another process's end
            await asyncio.sleep(0.05)
    finally:
        left = hasty.pid()
        await hasty.close()
    if left is not None:
        raise StillRunning(f"the host agent (process {left}) did not end within {_STOP_S:.0f} s")


def _service_pid(data_dir: Path) -> int | None:
    """The process that holds the data directory's lock, if any."""
    try:
        with (data_dir / LOCK_NAME).open() as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return None
    except BlockingIOError:
        text = (data_dir / LOCK_NAME).read_text().strip()
        return int(text) if text.isdigit() else None
    return None
