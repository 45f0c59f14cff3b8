"""How a job says that it failed."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit


class TransferFailed(Exception):
    """The job cannot be done. `code` is a failure code of the public service; details never hold a secret. `bytes` is
    what was received before it failed, where that is counted."""

    bytes: int = 0

    def __init__(self, code: str, message: str, details: tuple[tuple[str, str], ...] = ()) -> None:
        super().__init__(message)
        self.code = code
        self.details = details


def shown(url: str) -> str:
    """A URL without what may be secret in it: the query (signatures) and user information."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


@contextmanager
def disk_errors(code: str, path: str) -> Iterator[None]:
    """Turn errors of the node's file system into failures."""
    try:
        yield
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        text = "no space left on the node" if full else error.strerror or "unknown error"
        raise TransferFailed("DiskFull" if full else code, f"{path}: {text}", (("FilePath", path),)) from None


def error_code(error: Exception) -> str:
    """The storage's own code of an error answer, or nothing."""
    code = getattr(error, "error_code", None) or ""
    return str(getattr(code, "value", code))
