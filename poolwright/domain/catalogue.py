"""Node agent SKUs and the marketplace images that go with them, by their published names.

A pool may name any image of this list; whether this host can build its disks is decided where images are made, and a
pool whose image cannot be built says so in its resize errors.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from poolwright.domain.clock import Instant

#: Node agent SKU -> operating system.
AGENT_SKUS: dict[str, str] = {
    **{f"batch.node.ubuntu {version}": "linux" for version in ("16.04", "18.04", "20.04", "22.04", "24.04")},
    **{f"batch.node.debian {version}": "linux" for version in range(8, 14)},
    "batch.node.centos 7": "linux",
    "batch.node.opensuse 42.3": "linux",
    "batch.node.opensuse 15.6": "linux",
    "batch.node.el 8": "linux",
    "batch.node.el 9": "linux",
    "batch.node.windows amd64": "windows",
}


@dataclass(frozen=True, slots=True)
class SupportedImage:
    """One marketplace image. `verified`: known to work with its agent."""

    publisher: str
    offer: str
    sku: str
    agent_sku: str
    version: str = "latest"
    capabilities: tuple[str, ...] = ()
    verified: bool = True
    support_ends: Instant | None = None  # from then on no pool is made of it

    @property
    def os_type(self) -> str:
        return AGENT_SKUS[self.agent_sku]


SUPPORTED_IMAGES: tuple[SupportedImage, ...] = (
    SupportedImage("debian", "debian-11", "11", "batch.node.debian 11"),
    SupportedImage("debian", "debian-12", "12", "batch.node.debian 12"),
    SupportedImage("debian", "debian-13", "13", "batch.node.debian 13"),
    SupportedImage("canonical", "0001-com-ubuntu-server-focal", "20_04-lts", "batch.node.ubuntu 20.04"),
    SupportedImage("canonical", "0001-com-ubuntu-server-jammy", "22_04-lts", "batch.node.ubuntu 22.04"),
    SupportedImage("canonical", "ubuntu-24_04-lts", "server", "batch.node.ubuntu 24.04"),
    SupportedImage("almalinux", "almalinux-x86_64", "8-gen2", "batch.node.el 8", verified=False),
    SupportedImage("almalinux", "almalinux-x86_64", "9-gen2", "batch.node.el 9", verified=False),
    *(
        SupportedImage(
            "microsoftwindowsserver", "windowsserver", sku, "batch.node.windows amd64", verified=False
        )
        for sku in ("2019-datacenter", "2022-datacenter")
    ),
)


def with_ends(images: Iterable[SupportedImage], ends: Iterable[tuple[str, Instant]]) -> list[SupportedImage]:
    """The images with the ends of their support, which name images as `publisher:offer:sku` in lower case."""
    known = dict(ends)
    return [replace(i, support_ends=known.get(f"{i.publisher}:{i.offer}:{i.sku}")) for i in images]


def find_sku(name: str) -> str | None:
    """The published spelling of a node agent SKU, compared without regard to case; None if there is none."""
    wanted = name.lower()
    return wanted if wanted in AGENT_SKUS else None


def find_image(publisher: str, offer: str, sku: str) -> SupportedImage | None:
    """The supported image of these names, compared without regard to case."""
    wanted = (publisher.lower(), offer.lower(), sku.lower())
    for image in SUPPORTED_IMAGES:
        if (image.publisher, image.offer, image.sku) == wanted:
            return image
    return None
