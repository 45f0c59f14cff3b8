"""A program that serves on a free port of loopback and says in its log which."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.support.waiting import wait_until

_START_S = 60.0
_STOP_S = 10.0


class Server:
    """One running program. It has started when its log matches `listening`, whose group is the port."""

    def __init__(
        self, command: Sequence[str], log: Path, listening: str, env: Mapping[str, str] | None = None
    ) -> None:
        """Start it, in the folder of its log. Raises AssertionError with the log when it does not come to listen."""
        self._log, self._listening = log, re.compile(listening)
        with log.open("wb") as stream:
            self._process = subprocess.Popen(
                command,
                cwd=log.parent,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
            )
        try:
            wait_until(self._found, _START_S, self.said)
        except AssertionError:
            self.stop()
            raise
        found = self._found()
        assert found is not None
        self.port = int(found[1])

    def _found(self) -> re.Match[str] | None:
        return self._listening.search(self.said())

    def said(self) -> str:
        """Its log."""
        return self._log.read_text(errors="replace")

    def stop(self) -> None:
        """End it; harmless when it has ended."""
        self._process.terminate()
        try:
            self._process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
