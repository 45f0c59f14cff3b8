"""Addresses of disks and packages, signed in the manner of a service SAS (shared access signature, Azure Storage)."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping
from datetime import UTC, datetime
from urllib.parse import urlencode

from poolwright.commands.disk_access import Granted
from poolwright.domain.clock import SECOND, Instant
from poolwright.domain.package import Package

ROOT = "managed-disks"
BLOB = "disk.vhd"
PACKAGES = "application-packages"
ARCHIVE = "package.zip"
_SIGNED = ("sv", "sr", "sp", "se")
_VERSION = "2018-03-28"
_PERMISSIONS = {"Read": "r", "Write": "rw"}


def disk_url(base: str, granted: Granted) -> str:
    """The address to hand out. `base` is the server as the caller reaches it, without a slash at the end."""
    access = granted.access
    query = _query(access.secret, granted.resource.key, _PERMISSIONS[access.level], access.until)
    place = base64.urlsafe_b64encode(granted.resource.key.encode()).decode().rstrip("=")
    return f"{base}/{ROOT}/{place}/{BLOB}?{query}"


def package_url(base: str, package: Package) -> str:
    """The address to upload a package to."""
    query = _query(package.secret, package.blob, _PERMISSIONS["Write"], package.url_until)
    return f"{base}/{PACKAGES}/{package.blob}/{ARCHIVE}?{query}"


def key_of(place: str) -> str | None:
    """The resource key in an address; None when there is none."""
    try:
        return base64.urlsafe_b64decode(place + "=" * (-len(place) % 4)).decode()
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return None


def is_signed(secret: str, name: str, query: Mapping[str, str]) -> bool:
    """Whether an address was handed out for what has this name and secret now."""
    signed = {key: query.get(key, "") for key in _SIGNED}
    return hmac.compare_digest(_signature(secret, name, signed).encode(), query.get("sig", "").encode())


def _query(secret: str, name: str, permissions: str, until: Instant) -> str:
    end = datetime.fromtimestamp(until // SECOND, UTC)
    signed = {"sv": _VERSION, "sr": "b", "sp": permissions, "se": f"{end:%Y-%m-%dT%H:%M:%SZ}"}
    return urlencode({**signed, "sig": _signature(secret, name, signed)})


def _signature(secret: str, name: str, signed: Mapping[str, str]) -> str:
    text = "\n".join([name, *(signed[key] for key in _SIGNED)])
    return base64.b64encode(hmac.new(secret.encode(), text.encode(), hashlib.sha256).digest()).decode()
