"""Properties of disks, snapshots, images and galleries that the public service has and this one does not put in force.

What would change how a disk behaves is refused by name unless it asks for what is so anyway; what only describes is in
the models and comes back as it was sent. Names and defaults are those of the public Compute API.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from poolwright.domain.errors import ManagementError
from poolwright.wire.arm.compute_models import DiskBody, DiskPatchBody, ImageBody, ImagePatchBody
from poolwright.wire.arm.gallery_models import GalleryBody


@dataclass(frozen=True, slots=True)
class Rule:
    """A property by its path (`[]` stands for each item of a list), what it may say all the same, and why not more."""

    path: str
    reason: str
    may_be: tuple[object, ...] = ()


_NO_ZONES = "This service has one place: there are no zones and no edge locations."
_PLAIN = "Disks here are files of the host and are not encrypted by this service; encrypt the host's disk."
_RATES = "No rates are promised here: a disk is as fast as the directory it lies in (poolwright up --storage-class)."
_SECURE = "Machines share their host's kernel: there is no secure boot, virtual TPM or confidential state."
_REACH = "Access to a disk is by addresses that beginGetAccess grants, and by nothing else."
_PATCHED = "A PATCH changes tags (of disks and snapshots the sku too); make a new one with what you need."

_DISK = (
    Rule("zones", _NO_ZONES),
    Rule("extendedLocation", _NO_ZONES),
    Rule("properties.encryptionSettingsCollection.enabled", _PLAIN),
    Rule("properties.encryption.type", _PLAIN, ("EncryptionAtRestWithPlatformKey",)),
    Rule("properties.encryption.diskEncryptionSetId", _PLAIN),
    Rule("properties.diskIOPSReadWrite", _RATES),
    Rule("properties.diskMBpsReadWrite", _RATES),
    Rule("properties.diskIOPSReadOnly", _RATES),
    Rule("properties.diskMBpsReadOnly", _RATES),
    Rule("properties.burstingEnabled", _RATES),
    Rule("properties.creationData.performancePlus", _RATES),
    Rule("properties.maxShares", "A disk here belongs to one machine at a time.", (1,)),
    Rule("properties.networkAccessPolicy", _REACH, ("AllowAll",)),
    Rule("properties.publicNetworkAccess", _REACH, ("Enabled",)),
    Rule("properties.dataAccessAuthMode", _REACH, ("None",)),
    Rule("properties.diskAccessId", _REACH),
    Rule("properties.supportsHibernation", "Machines here do not hibernate."),
    Rule("properties.securityProfile", _SECURE),
    Rule("properties.creationData.securityDataUri", _SECURE),
    Rule("properties.creationData.securityMetadataUri", _SECURE),
    Rule("properties.availabilityPolicy", "What becomes of a failing disk is up to the host."),
    Rule("properties.creationData.logicalSectorSize", "Disks here have sectors of 512 bytes.", (512,)),
    Rule("properties.creationData.elasticSanResourceId", "There is no storage area network here."),
    Rule(
        "properties.creationData.provisionedBandwidthCopySpeed",
        "Copies here are made at once: there is no other place to copy to.",
        ("None",),
    ),
    Rule("properties.supportedCapabilities.architecture", "Machines here have x64 processors.", ("x64",)),
)
_IMAGE = (
    Rule("extendedLocation", _NO_ZONES),
    Rule("properties.storageProfile.zoneResilient", _NO_ZONES),
    Rule("properties.storageProfile.osDisk.diskEncryptionSet", _PLAIN),
    Rule("properties.storageProfile.dataDisks[].diskEncryptionSet", _PLAIN),
)
_GALLERY = (
    Rule(
        "properties.sharingProfile.communityGalleryInfo",
        "Galleries here are not shared beyond this service.",
    ),
)
RULES: Mapping[type, tuple[Rule, ...]] = {
    DiskBody: _DISK,
    DiskPatchBody: (Rule("properties.*", _PATCHED),),
    ImagePatchBody: (Rule("properties.*", _PATCHED),),
    ImageBody: _IMAGE,
    GalleryBody: _GALLERY,
}


def refuse_not_in_force(raw: Mapping[str, Any], model: type) -> None:
    """Raises ManagementError 400 naming the first property of the body that is not in force, its value and why."""
    for rule in RULES.get(model, ()):
        for target, value in _found(raw, rule.path.split("."), ""):
            if not _asks(value, rule.may_be):
                continue
            shown = value if isinstance(value, str) else msgspec.json.encode(value).decode()
            allowed = "".join(f" It may be {one!r}." for one in rule.may_be)
            text = f"The value '{shown[:200]}' of '{target}' is not supported: {rule.reason}{allowed}"
            raise ManagementError(400, "InvalidParameter", text, target)


def _asks(value: object, may_be: tuple[object, ...]) -> bool:
    if value is None or value is False or value in ({}, [], ""):
        return False
    plain = value.lower() if isinstance(value, str) else value
    return not any(plain == (one.lower() if isinstance(one, str) else one) for one in may_be)


def _found(value: Any, steps: list[str], path: str) -> Iterator[tuple[str, Any]]:
    """What lies at the path, and the path of each."""
    if not steps:
        yield path, value
        return
    if not isinstance(value, Mapping):
        return
    wanted = steps[0].removesuffix("[]")
    for name, inner in value.items():
        if wanted not in ("*", name):
            continue
        at = f"{path}.{name}" if path else name
        if not steps[0].endswith("[]"):
            yield from _found(inner, steps[1:], at)
        elif isinstance(inner, list):
            for index, item in enumerate(inner):
                yield from _found(item, steps[1:], f"{at}[{index}]")
