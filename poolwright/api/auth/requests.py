"""Reading what authentication needs from an ASGI scope."""

from __future__ import annotations

import re
from collections.abc import Iterable, MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]

# RFC 3986 authority without user information; anything else never came from an honest client.
_AUTHORITY = re.compile(r"(?:[A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?\Z")


def header_values(scope: Scope, name: bytes) -> list[str]:
    """All values of one header, `name` in lower case. ASGI servers give names in lower case."""
    headers: Iterable[tuple[bytes, bytes]] = scope["headers"]
    return [value.decode("latin-1") for key, value in headers if key == name]


def request_authority(scope: Scope) -> str | None:
    """`host[:port]` as the client wrote it in the Host header, or None when missing or malformed."""
    values = header_values(scope, b"host")
    if len(values) != 1 or not _AUTHORITY.match(values[0]):
        return None
    return values[0]


def client_address(scope: Scope) -> str:
    """The peer's address, without port; empty for a unix socket."""
    client = scope.get("client")
    return str(client[0]) if client else ""
