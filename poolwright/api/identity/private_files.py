"""Files that hold secrets: written whole or not at all, readable by their owner only."""

from __future__ import annotations

import logging
import os
import stat
from pathlib import Path

_LOG = logging.getLogger(__name__)


def write_file(path: Path, content: bytes, mode: int) -> None:
    """Replace `path` atomically and durably. After a crash it holds either the old or the new content.

    The temporary name is fixed, so that crashes cannot pile up copies of secrets; writers of the same file
    must therefore take turns.
    """
    temporary = path.with_name(f".{path.name}.new")
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    with os.fdopen(os.open(temporary, flags, 0o600), "wb") as stream:
        os.fchmod(stream.fileno(), mode)
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    temporary.replace(path)
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def read_private(path: Path) -> bytes | None:
    """Content of a secret file, None when there is none. A file others can read is closed to them first."""
    try:
        with path.open("rb") as stream:
            mode = stat.S_IMODE(os.fstat(stream.fileno()).st_mode)
            if mode & 0o077:
                _LOG.warning("%s was accessible to others (mode %03o); set to 600", path, mode)
                os.fchmod(stream.fileno(), 0o600)
            return stream.read()
    except FileNotFoundError:
        return None


def make_directory(path: Path, mode: int) -> None:
    """Create a directory of secrets with exactly this mode, whatever the umask; keep an existing one."""
    if not path.is_dir():
        path.mkdir(parents=True, exist_ok=True)
        path.chmod(mode)
