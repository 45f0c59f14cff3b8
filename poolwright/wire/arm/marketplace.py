"""Marketplace lists, sizes, SKUs and usages as answered. Marketplace lists are bare JSON lists."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from poolwright.domain.marketplace import Offering
from poolwright.domain.sizes import SIZES, Size

Json = dict[str, Any]
VMIMAGE = "ArtifactTypes/VMImage"


def _base(subscription: str, location: str) -> str:
    return f"/subscriptions/{subscription}/Providers/Microsoft.Compute/Locations/{location}/Publishers"


def names(
    offerings: Sequence[Offering],
    subscription: str,
    location: str,
    publisher: str | None = None,
    offer: str | None = None,
    sku: str | None = None,
) -> list[Json] | None:
    """The next level below the names given: publishers, offers, SKUs or versions.

    None when nothing is on offer under the names given.
    """
    path = _base(subscription, location)
    levels: list[tuple[str | None, Callable[[Offering], str], str]] = [
        (publisher, lambda entry: entry.image.publisher, ""),
        (offer, lambda entry: entry.image.offer, f"/{VMIMAGE}/Offers"),
        (sku, lambda entry: entry.image.sku, "/Skus"),
        (None, lambda entry: entry.image.version, "/Versions"),
    ]
    left = list(offerings)
    for wanted, name_of, prefix in levels:
        if wanted is None:
            found = dict.fromkeys(name_of(entry) for entry in left)
            return [{"location": location, "name": name, "id": f"{path}{prefix}/{name}"} for name in found]
        left = [entry for entry in left if name_of(entry).lower() == wanted.lower()]
        if not left:
            return None
        path += f"{prefix}/{name_of(left[0])}"
    return None


def image(entry: Offering, subscription: str, location: str) -> Json:
    """One version with its properties."""
    reference = entry.image
    return {
        "location": location,
        "name": reference.version,
        "id": (
            f"{_base(subscription, location)}/{reference.publisher}/{VMIMAGE}/Offers/{reference.offer}"
            f"/Skus/{reference.sku}/Versions/{reference.version}"
        ),
        "properties": {
            "osDiskImage": {
                "operatingSystem": "Windows" if entry.os_type == "windows" else "Linux",
                "sizeInBytes": entry.size_bytes,
                "sizeInGb": -(-entry.size_bytes // 1024**3),
            },
            "dataDiskImages": [],
            "hyperVGeneration": "V1",
            "architecture": "x64",
            "features": [],
            "automaticOSUpgradeProperties": {"automaticOSUpgradeSupported": False},
            "imageDeprecationStatus": {"imageState": "Active"},
        },
    }


def size(entry: Size) -> Json:
    """A size in the old list."""
    return {
        "name": entry.name,
        "numberOfCores": entry.cores,
        "osDiskSizeInMB": 1_047_552,
        "resourceDiskSizeInMB": entry.temp_disk_mib,
        "memoryInMB": entry.memory_mib,
        "maxDataDiskCount": entry.max_data_disks,
    }


def sizes() -> list[Json]:
    """All sizes."""
    return [size(entry) for entry in SIZES.values()]


def _family(name: str) -> str:
    letters = name.partition("_")[2].rstrip("0123456789")
    return "standard" + "".join(part for part in letters if not part.isdigit()) + "Family"


def skus(location: str, types: Iterable[str] = ("virtualMachines",)) -> list[Json]:
    """Sizes as resource SKUs."""
    if "virtualMachines" not in types:
        return []
    return [
        {
            "resourceType": "virtualMachines",
            "name": entry.name,
            "tier": "Standard",
            "size": entry.name.partition("_")[2],
            "family": _family(entry.name),
            "locations": [location],
            "locationInfo": [{"location": location, "zones": [], "zoneDetails": []}],
            "capabilities": [
                {"name": "vCPUs", "value": str(entry.cores)},
                {"name": "MemoryGB", "value": f"{entry.memory_mib / 1024:g}"},
                {"name": "MaxDataDiskCount", "value": str(entry.max_data_disks)},
                {"name": "MaxResourceVolumeMB", "value": str(entry.temp_disk_mib)},
                {"name": "OSVhdSizeMB", "value": "1047552"},
                {"name": "HyperVGenerations", "value": "V1,V2"},
                {"name": "CpuArchitectureType", "value": "x64"},
                {"name": "PremiumIO", "value": "True"},
                {"name": "LowPriorityCapable", "value": "True"},
            ],
            "restrictions": [],
        }
        for entry in SIZES.values()
    ]


def usage(name: str, title: str, current: int, limit: int) -> Json:
    """One usage."""
    return {
        "unit": "Count",
        "currentValue": current,
        "limit": limit,
        "name": {"value": name, "localizedValue": title},
    }
