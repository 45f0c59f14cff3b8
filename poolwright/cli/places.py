"""Where a service keeps its data by default, and how the other commands find the service they talk to."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

CREDENTIALS = "credentials.json"


class NoService(Exception):
    """No credentials were found where they were looked for."""


def default_data_dir() -> Path:
    """`$POOLWRIGHT_DATA_DIR`, else `poolwright` below the user's data home (XDG base directory specification)."""
    named = os.environ.get("POOLWRIGHT_DATA_DIR")
    if named:
        return Path(named)
    home = os.environ.get("XDG_DATA_HOME")
    return (Path(home) if home else Path.home() / ".local" / "share") / "poolwright"


@dataclass(frozen=True, slots=True)
class Credentials:
    """What `poolwright up` wrote for clients on this machine; the field names are the ready file's."""

    endpoint: str
    ca_file: str
    tenant_id: str
    subscription_id: str
    client_id: str
    client_secret: str
    account_name: str
    account_endpoint: str
    account_key: str

    def __repr__(self) -> str:
        return f"Credentials(endpoint={self.endpoint!r}, client_id={self.client_id!r})"


def load_credentials(data_dir: Path) -> Credentials:
    """The credentials of the service with that data directory. Raises NoService saying where it looked."""
    path = data_dir / CREDENTIALS
    try:
        known = json.loads(path.read_text())
    except FileNotFoundError:
        raise NoService(f"{path} does not exist: is the service running with another --data-dir?") from None
    except (OSError, ValueError) as error:
        raise NoService(f"{path} cannot be read: {error}") from None
    if not isinstance(known, dict):
        raise NoService(f"{path} cannot be read: it holds no JSON object")
    fields = {name: known.get(name) for name in Credentials.__dataclass_fields__}
    wrong = [name for name, value in fields.items() if not isinstance(value, str)]
    if wrong:
        raise NoService(f"{path} cannot be read: it lacks {', '.join(wrong)}")
    return Credentials(**{name: str(value) for name, value in fields.items()})
