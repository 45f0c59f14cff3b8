"""Starts the host agent, adopts a living one, and starts it again (with growing pauses) when it died."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import logging
import os
import signal
import sys
import time
from pathlib import Path

import poolwright

_log = logging.getLogger(__name__)

_LOG_LIMIT = 4 * 1024 * 1024
_FIRST_PAUSE_S, _LAST_PAUSE_S = 0.2, 30.0
_WATCH_S = 0.5
# Isolated from the environment and from installed packages: the agent is standard library only, and small.
_BOOT = (
    "import sys; sys.path.insert(0, sys.argv.pop(1)); "
    "from poolwright.engines.sandbox.host.__main__ import main; sys.exit(main())"
)


class HostAgentProcess:
    """The host agent of one data directory. It is not ended by `close`: machines outlive the service."""

    def __init__(self, data_dir: Path, grace_s: float = 600.0, steady_s: float = 60.0) -> None:
        """`grace_s`: how long machines outlive an absent service; `steady_s`: an agent that lived this long starts
        the pauses between restarts anew."""
        self._data_dir = data_dir
        self._steady_s = steady_s
        self._grace_s = grace_s
        self._child: int | None = None  # process id, until it was waited for
        self._watcher: asyncio.Task[None] | None = None
        self._started = 0.0

    def pid(self) -> int | None:
        """Process id of the living host agent, whoever started it."""
        if self._lives():
            return self._child
        if not self._is_locked():
            return None
        with contextlib.suppress(OSError, ValueError, IndexError):
            return int((self._data_dir / "run" / "agent.pid").read_text(encoding="ascii").split()[0])
        return None

    def start(self, *, again: bool = True) -> None:
        """Start an agent unless one lives, and (`again`) keep one alive from then on. Call inside an event loop."""
        self._ensure()
        if again:
            self._watcher = asyncio.get_running_loop().create_task(self._watch())

    async def close(self) -> None:
        """Stop looking after the agent; it goes on, and ends by itself when the service stays away."""
        if self._watcher is not None:
            self._watcher.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._watcher
            self._watcher = None

    async def stop(self, timeout_s: float = 10.0) -> None:
        """End the agent (SIGTERM, then SIGKILL). Its machines go on until an agent comes back or the grace is over."""
        await self.close()
        for number in (signal.SIGTERM, signal.SIGKILL):
            pid = self.pid()
            if pid is None:
                return
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
            deadline = time.monotonic() + timeout_s
            while self.pid() is not None and time.monotonic() < deadline:  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.02)

    def _ensure(self) -> None:
        if self._lives() or self._is_locked():
            return
        for name in ("run", "log"):
            (self._data_dir / name).mkdir(parents=True, exist_ok=True)
        self._rotate_log()
        package_root = str(Path(poolwright.__file__).resolve().parent.parent)
        command = [sys.executable, "-I", "-S", "-c", _BOOT, package_root, "--data-dir", str(self._data_dir)]
        command += ["--grace-s", str(self._grace_s)]
        environment = {"PATH": os.environ.get("PATH", "/usr/sbin:/usr/bin:/sbin:/bin"), "LANG": "C.UTF-8"}
        log = (os.POSIX_SPAWN_OPEN, 1, str(self._log_path()), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        actions = [(os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0), log, (os.POSIX_SPAWN_DUP2, 1, 2)]
        self._child = os.posix_spawn(command[0], command, environment, file_actions=actions, setsid=True)
        self._started = time.monotonic()

    def _lives(self) -> bool:
        """Is a child of ours still there? One that ended is waited for."""
        if self._child is not None:
            with contextlib.suppress(ChildProcessError):
                if os.waitpid(self._child, os.WNOHANG)[0] == 0:
                    return True
            self._child = None
        return False

    async def _watch(self) -> None:
        pause = _FIRST_PAUSE_S
        while True:
            await asyncio.sleep(_WATCH_S)
            if self._lives() or self._is_locked():
                if time.monotonic() - self._started > self._steady_s:
                    pause = _FIRST_PAUSE_S
                continue
            _log.warning("the host agent ended; another one is started in %.1f s", pause)
            await asyncio.sleep(pause)
            pause = min(_LAST_PAUSE_S, pause * 2)
            try:
                self._ensure()
            except OSError as failure:
                _log.error("the host agent cannot be started: %s", failure)

    def _is_locked(self) -> bool:
        try:
            with (self._data_dir / "run" / "agent.lock").open("rb") as stream:
                fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except FileNotFoundError:
            return False
        except BlockingIOError:
            return True
        return False

    def _log_path(self) -> Path:
        return self._data_dir / "log" / "agent.log"

    def _rotate_log(self) -> None:
        path = self._log_path()
        with contextlib.suppress(FileNotFoundError):
            if path.stat().st_size > _LOG_LIMIT:
                path.replace(path.with_suffix(".log.1"))
