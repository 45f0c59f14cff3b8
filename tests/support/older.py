"""The client of 2024 (azure-batch 14: another generator, another api-version), unmodified, in its own process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tools import older_sdk

_SCRIPT = Path(__file__).parents[1] / "wire" / "batch" / "older_client.py"


class Refused(Exception):
    """The service's error as the older client understood it."""

    def __init__(self, told: dict[str, Any]) -> None:
        super().__init__(f"{told['status']} {told['code']}: {told['message']}")
        self.status: int = told["status"]
        self.code: str = told["code"]
        self.values: dict[str, str] = told["values"]


class Older:
    """The process; `older(act, ...)` plays one act of older_client.py. Raises older_sdk.Unavailable."""

    def __init__(self, url: str, ca_file: str, account: str, key: str, log: Path) -> None:
        packages = older_sdk.ensure()
        environment = {
            **os.environ,
            "PYTHONPATH": str(packages),
            "OLDER_URL": url,
            "OLDER_CA": ca_file,
            "OLDER_ACCOUNT": account,
            "OLDER_KEY": key,
        }
        self._log = log
        with log.open("wb") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-S", "-P", str(_SCRIPT)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                env=environment,
                text=True,
            )

    def __call__(self, act: str, *arguments: object) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps([act, arguments]) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, self._log.read_text()
        answer = json.loads(line)
        if "error" in answer:
            raise Refused(answer["error"])
        assert "ok" in answer, f"{act}: {answer}"
        return answer["ok"]

    def close(self) -> None:
        self._process.communicate(timeout=20)


@contextmanager
def running(url: str, ca_file: str, account: str, key: str, log: Path) -> Iterator[Older]:
    """The client while a test needs it; the test is skipped, with the reason, where it cannot be had."""
    try:
        client = Older(url, ca_file, account, key, log)
    except older_sdk.Unavailable as reason:
        pytest.skip(str(reason))
    try:
        yield client
    finally:
        client.close()
