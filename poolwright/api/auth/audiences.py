"""Which resources tokens are granted for, and which part of the service each one opens.

The public audiences are the ones released clients ask for when they are not told otherwise:
the Azure SDKs, the azure CLI (which asks for the management.core.windows.net spelling) and
tools that pass a bare resource instead of a `/.default` scope.
"""

from __future__ import annotations

from collections.abc import Collection
from enum import StrEnum
from urllib.parse import urlsplit


class Plane(StrEnum):
    """A part of the service (or of its surroundings) a token may be meant for."""

    BATCH = "batch"
    ARM = "arm"
    STORAGE = "storage"
    GRAPH = "graph"


_PUBLIC = {
    "https://batch.core.windows.net": Plane.BATCH,
    "https://management.azure.com": Plane.ARM,
    "https://management.core.windows.net": Plane.ARM,
    "https://storage.azure.com": Plane.STORAGE,
    "https://graph.microsoft.com": Plane.GRAPH,
    "https://graph.windows.net": Plane.GRAPH,
}

BATCH_RESOURCE = "https://batch.core.windows.net/"
ARM_RESOURCE = "https://management.azure.com/"
_MAX_AUDIENCE = 512


class Audiences:
    """The known audiences: the public ones and this server's own URLs (which open management).

    `own_hosts` are the host names and addresses of the server's certificate, `ports` the ports it
    listens on. Every name under `.localhost` counts as own, because accounts made later live there.
    """

    def __init__(self, own_hosts: Collection[str], ports: Collection[int]) -> None:
        self._hosts = frozenset(host.strip("[]").lower() for host in own_hosts)
        self._ports = frozenset(ports)

    def plane_of(self, audience: str) -> Plane | None:
        """The plane this audience opens, with or without one trailing slash; None when unknown."""
        if len(audience) > _MAX_AUDIENCE:
            return None
        bare = audience.removesuffix("/").lower()
        known = _PUBLIC.get(bare)
        if known is not None:
            return known
        return Plane.ARM if self._is_own(bare) else None

    def _is_own(self, bare: str) -> bool:
        try:
            parts = urlsplit(bare)
            port = parts.port or 443
        except ValueError:
            return False
        host = parts.hostname or ""
        if parts.scheme != "https" or parts.path or parts.query or parts.fragment or "@" in parts.netloc:
            return False
        return port in self._ports and (host in self._hosts or host.endswith(".localhost"))
