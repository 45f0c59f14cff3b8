"""Addresses of disks, signed in the manner of a service SAS (shared access signature, Azure Storage)."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping
from datetime import UTC, datetime
from urllib.parse import urlencode

from poolwright.commands.disk_access import Granted
from poolwright.domain.clock import SECOND

ROOT = "managed-disks"
BLOB = "disk.vhd"
_VERSION = "2018-03-28"
_PERMISSIONS = {"Read": "r", "Write": "rw"}


def disk_url(base: str, granted: Granted) -> str:
    """The address to hand out. `base` is the server as the caller reaches it, without a slash at the end."""
    until = datetime.fromtimestamp(granted.access.until // SECOND, UTC)
    signed = {
        "sv": _VERSION,
        "sr": "b",
        "sp": _PERMISSIONS[granted.access.level],
        "se": f"{until:%Y-%m-%dT%H:%M:%SZ}",
    }
    query = urlencode({**signed, "sig": _signature(granted, signed)})
    place = base64.urlsafe_b64encode(granted.resource.key.encode()).decode().rstrip("=")
    return f"{base}/{ROOT}/{place}/{BLOB}?{query}"


def key_of(place: str) -> str | None:
    """The resource key in an address; None when there is none."""
    try:
        return base64.urlsafe_b64decode(place + "=" * (-len(place) % 4)).decode()
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return None


def is_signed(granted: Granted, query: Mapping[str, str]) -> bool:
    """Whether an address was handed out for the access in force."""
    signed = {name: query.get(name, "") for name in ("sv", "sr", "sp", "se")}
    return hmac.compare_digest(_signature(granted, signed).encode(), query.get("sig", "").encode())


def _signature(granted: Granted, signed: Mapping[str, str]) -> str:
    text = "\n".join([granted.resource.key, *(signed[name] for name in ("sv", "sr", "sp", "se"))])
    digest = hmac.new(granted.access.secret.encode(), text.encode(), hashlib.sha256).digest()
    return base64.b64encode(digest).decode()
