"""Starting and ending the service as a user would: by its command, through its ready file."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

START_DEADLINE_S = 60.0
STOP_DEADLINE_S = 60.0


class ServiceFailed(Exception):
    """The service did not start or ended by itself; the message holds the end of its log."""


class Ready(NamedTuple):
    """What the ready file tells (the stable interface for scripts)."""

    pid: int
    endpoint: str
    account_endpoint: str
    account_name: str
    account_key: str
    ca_file: str
    client_id: str
    client_secret: str
    tenant_id: str
    subscription_id: str


class Service:
    """One running service process with its data directory."""

    def __init__(self, data_dir: Path, log_file: Path, base_cache: Path | None = None) -> None:
        self.data_dir = data_dir
        self.log_file = log_file
        self.ready_file = data_dir.parent / f"{data_dir.name}-ready.json"
        self._base_cache = base_cache
        self._process: subprocess.Popen[bytes] | None = None
        self.port = 0

    def start(self, port: int = 0, *more: str) -> Ready:
        """Start it, with `more` options, and wait for the ready file. `port` 0: a free one. Raises ServiceFailed."""
        self.ready_file.unlink(missing_ok=True)
        command = [
            sys.executable,
            "-m",
            "poolwright.cli",
            "up",
            "--data-dir",
            str(self.data_dir),
            "--port",
            str(port),
        ]
        command += ["--ready-file", str(self.ready_file), *more]
        environment = dict(os.environ)
        if self._base_cache is not None:
            environment["POOLWRIGHT_BASE_CACHE"] = str(self._base_cache)
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=environment
            )
        deadline = time.monotonic() + START_DEADLINE_S
        while time.monotonic() < deadline:
            if self.ready_file.exists():
                known = json.loads(self.ready_file.read_text())
                ready = Ready(**{name: known[name] for name in Ready._fields})
                self.port = urlsplit(ready.endpoint).port or 443
                return ready
            if self._process.poll() is not None:
                raise ServiceFailed(
                    f"the service ended with code {self._process.returncode}:\n{self.log_tail()}"
                )
            time.sleep(0.05)
        raise ServiceFailed(f"no ready file after {START_DEADLINE_S:.0f} s:\n{self.log_tail()}")

    def stop(self) -> int:
        """Ask it to end (SIGTERM) and wait; returns its exit code. Raises ServiceFailed when it does not end."""
        if self._process is None:
            return 0
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        try:
            return self._process.wait(STOP_DEADLINE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise ServiceFailed(
                f"the service ignored SIGTERM for {STOP_DEADLINE_S:.0f} s:\n{self.log_tail()}"
            ) from None

    def is_running(self) -> bool:
        """Whether the process that was started last has not ended."""
        return self._process is not None and self._process.poll() is None

    def wait_dead(self) -> None:
        """Wait for a process that was killed."""
        if self._process is not None:
            self._process.wait(STOP_DEADLINE_S)

    def down(self) -> None:
        """End what a failed run left running: every machine of the data directory."""
        command = [sys.executable, "-m", "poolwright.cli", "down", "--data-dir", str(self.data_dir)]
        subprocess.run(command, timeout=STOP_DEADLINE_S * 2, check=False)
        if self._process is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(
                    STOP_DEADLINE_S
                )  # it let go of its data; a signal now would spoil its exit code

    def log_tail(self, lines: int = 30) -> str:
        """The last lines of the service's log."""
        try:
            return "\n".join(self.log_file.read_text(errors="replace").splitlines()[-lines:])
        except FileNotFoundError:
            return "(no log)"
