"""os-release(5) and the node agent that belongs to a release."""

from __future__ import annotations

import shlex
from dataclasses import dataclass

_RHEL_FAMILY = frozenset({"rhel", "centos", "almalinux", "rocky", "ol"})


@dataclass(frozen=True, slots=True)
class OsRelease:
    """Of os-release: ID, VERSION_ID, VERSION_CODENAME and PRETTY_NAME; empty where absent."""

    id: str
    version_id: str
    codename: str
    pretty_name: str

    @property
    def agent_sku(self) -> str | None:
        """The Azure node agent SKU of the release, None where Azure has none for it."""
        return agent_sku(self.id, self.version_id)


def parse_os_release(text: str) -> OsRelease | None:
    """The release, or None when the text names none. Lines that are no assignments are skipped, as the format asks."""
    values: dict[str, str] = {}
    for line in text.splitlines():
        key, equals, value = line.strip().partition("=")
        if not equals or key.startswith("#"):
            continue
        try:
            words = shlex.split(value)
        except ValueError:  # unbalanced quotes
            continue
        values[key] = words[0] if words else ""
    if not values.get("ID"):
        return None
    pretty = values.get("PRETTY_NAME") or values["ID"]
    return OsRelease(values["ID"], values.get("VERSION_ID", ""), values.get("VERSION_CODENAME", ""), pretty)


def agent_sku(os_id: str, version_id: str) -> str | None:
    """The node agent SKU for a distribution (os-release ID) and its version (VERSION_ID)."""
    major = version_id.partition(".")[0]
    if not major.isdigit():
        return None
    if os_id == "ubuntu":
        return f"batch.node.ubuntu {version_id}"
    if os_id == "debian":
        return f"batch.node.debian {major}"
    if os_id == "opensuse-leap":
        return f"batch.node.opensuse {version_id}"
    if os_id == "centos" and major == "7":
        return "batch.node.centos 7"
    if os_id in _RHEL_FAMILY and int(major) >= 8:
        return f"batch.node.el {major}"
    return None
