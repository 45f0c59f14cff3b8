"""How a tool says that it cannot go on."""

from __future__ import annotations

HOST_NOT_READY = 3
"""Exit code when the host lacks something that only its owner can install."""


class Failure(Exception):
    """Ends `./dev` with `message` on standard error and `code` as the exit code."""

    def __init__(self, message: str, code: int = 1) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
