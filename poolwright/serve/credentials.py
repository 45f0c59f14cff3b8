"""What clients on this machine need to know, in files only their owner may read."""

from __future__ import annotations

import json
import os
import secrets
from dataclasses import asdict, dataclass, field
from pathlib import Path

NAME = "credentials.json"


@dataclass(frozen=True, slots=True)
class Known:
    """The content of the credentials file and of the ready file: a stable interface for scripts."""

    endpoint: str
    ca_file: str
    tenant_id: str
    subscription_id: str
    client_id: str
    client_secret: str = field(repr=False)
    account_name: str
    account_endpoint: str
    account_key: str = field(repr=False)
    pid: int


def read_secret(data_dir: Path, client_id: str) -> str | None:
    """The first client's secret as written at an earlier start, or None when the file is not there or not whole."""
    try:
        known = json.loads((data_dir / NAME).read_text())
    except (OSError, ValueError):
        return None
    if not isinstance(known, dict) or known.get("client_id") != client_id:
        return None
    secret = known.get("client_secret")
    return secret if isinstance(secret, str) else None


def write_whole(path: Path, known: Known) -> None:
    """Write the file so that whoever sees it sees all of it. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(fd, "w") as file:
            json.dump(asdict(known), file, indent=2)
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def agents_token(data_dir: Path) -> str:
    """The secret by which the host agent knows its service, made once. Raises OSError."""
    path = data_dir / "run" / "agents.token"
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        return path.read_text().strip()
    except FileNotFoundError:
        token = secrets.token_hex(32)
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(fd, "w") as file:
            file.write(token)
        return token
