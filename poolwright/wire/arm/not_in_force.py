"""Properties of machines, disks, snapshots, images and galleries that the public service has and this one does not put
in force.

What would change how a disk or machine behaves is refused by name unless it asks for what is so anyway; what only
describes is in the models and comes back as it was sent. Names and defaults are those of the public Compute API.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from poolwright.domain.errors import ManagementError
from poolwright.wire.arm.compute_models import (
    DiskBody,
    DiskPatchBody,
    ImageBody,
    ImagePatchBody,
    MachineBody,
    MachinePatchBody,
)
from poolwright.wire.arm.gallery_models import GalleryBody


@dataclass(frozen=True, slots=True)
class Rule:
    """A property by its path (`[]` stands for each item of a list, `*` for every name but those of `but`), what it may
    say all the same, and why not more. The value of a secret one is not told."""

    path: str
    reason: str
    may_be: tuple[object, ...] = ()
    but: tuple[str, ...] = ()
    secret: bool = False


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
_PLACED = "This service runs on one host: where a machine lies cannot be chosen."
_NO_GUEST = (
    "Nothing in a machine reads this when it starts: prepare it by runCommand (az vm run-command invoke)."
)
_NO_EXTENSIONS = (
    "There are no extensions and no gallery applications here: prepare the machine by runCommand."
)
_WHOLE_SIZE = "A machine has all cores of its size: choose hardwareProfile.vmSize."
_OF_LINUX = "Machines here run Linux."
_MACHINE_WIDE = (
    Rule("zones", _NO_ZONES),
    Rule("identity.type", "Machines here have no identities of their own.", ("None",)),
    Rule("plan", "Images here need no purchase plan."),
    Rule("properties.hardwareProfile.vmSizeProperties.*", _WHOLE_SIZE),
    Rule("properties.hardwareProfile.processorMode", _WHOLE_SIZE),
)
_MACHINE_DISK = (
    Rule("image", "Machines here use managed disks: import the VHD as a disk, and make an image of it."),
    Rule("writeAcceleratorEnabled", _RATES),
    Rule("managedDisk.diskEncryptionSet", _PLAIN),
    Rule("managedDisk.securityProfile", _SECURE),
    Rule("managedDisk.additionalDiskProperties.*", _RATES),
)
_MACHINE = (
    *_MACHINE_WIDE,
    Rule("extendedLocation", _NO_ZONES),
    Rule("placement", _PLACED),
    Rule("properties.flexProfile", _WHOLE_SIZE),
    Rule("properties.availabilitySet", _PLACED),
    Rule("properties.virtualMachineScaleSet", _PLACED),
    Rule("properties.proximityPlacementGroup", _PLACED),
    Rule("properties.host", _PLACED),
    Rule("properties.hostGroup", _PLACED),
    Rule("properties.platformFaultDomain", _PLACED),
    Rule("properties.capacityReservation", _PLACED),
    Rule("properties.interconnectBlockProfile", _PLACED),
    Rule("properties.resiliencyProfile", "A machine whose host fails waits until the host is back."),
    Rule(
        "properties.priority", "Machines here are not evicted; low-priority nodes of pools are.", ("Regular",)
    ),
    Rule("properties.evictionPolicy", "Machines here are not evicted."),
    Rule("properties.billingProfile", "Machines here are not billed."),
    Rule("properties.additionalCapabilities.*", "Machines here have no such capability."),
    Rule("properties.scheduledEventsPolicy.*", "No events are told to machines here."),
    Rule("properties.scheduledEventsProfile.*", "No events are told to machines here."),
    Rule("properties.applicationProfile.galleryApplications", _NO_EXTENSIONS),
    Rule("properties.extensionsTimeBudget", _NO_EXTENSIONS, ("PT1H30M",)),
    Rule("properties.userData", _NO_GUEST, secret=True),
    Rule("properties.osProfile.customData", _NO_GUEST, secret=True),
    Rule("properties.osProfile.secrets", "No certificates are brought into machines here.", secret=True),
    Rule("properties.osProfile.windowsConfiguration", _OF_LINUX, secret=True),
    Rule(
        "properties.osProfile.linuxConfiguration.patchSettings.patchMode",
        "Updates of a machine's system are up to you.",
        ("ImageDefault",),
    ),
    Rule(
        "properties.networkProfile.networkInterfaceConfigurations",
        "A machine here has the one interface that the service gives it.",
    ),
    Rule("properties.networkProfile.interconnectGroupProfile", _PLACED),
    Rule("properties.securityProfile.securityType", _SECURE, ("Standard",)),
    Rule("properties.securityProfile.uefiSettings.*", _SECURE),
    Rule("properties.securityProfile.encryptionAtHost", _PLAIN),
    Rule("properties.securityProfile.encryptionIdentity", _PLAIN),
    Rule("properties.securityProfile.proxyAgentSettings.enabled", _SECURE),
    Rule(
        "properties.storageProfile.diskControllerType", "Disks here have no controller to choose.", ("SCSI",)
    ),
    Rule("properties.storageProfile.alignRegionalDisksToVMZone", _NO_ZONES),
    Rule(
        "properties.storageProfile.imageReference.sharedGalleryImageId",
        "This service cannot reach galleries of others.",
    ),
    Rule(
        "properties.storageProfile.imageReference.communityGalleryImageId",
        "This service cannot reach galleries of others.",
    ),
    Rule("properties.storageProfile.osDisk.encryptionSettings.enabled", _PLAIN),
    Rule("properties.storageProfile.osDisk.diffDiskSettings.option", "An OS disk here is a disk that stays."),
    *(replace(one, path=f"properties.storageProfile.osDisk.{one.path}") for one in _MACHINE_DISK),
    *(replace(one, path=f"properties.storageProfile.dataDisks[].{one.path}") for one in _MACHINE_DISK),
    Rule("properties.storageProfile.dataDisks[].sourceResource", "Make the disk first, and attach it."),
    Rule(
        "properties.storageProfile.dataDisks[].toBeDetached",
        "Disks are not detached from a machine that exists.",
    ),
    Rule("properties.storageProfile.dataDisks[].diskIOPSReadWrite", _RATES),
    Rule("properties.storageProfile.dataDisks[].diskMBpsReadWrite", _RATES),
)
_MACHINE_PATCH = (
    Rule(
        "properties.*",
        "A PATCH of a machine changes tags and hardwareProfile.vmSize; make a new one with what you need.",
        but=("hardwareProfile",),
    ),
    *_MACHINE_WIDE,
)
RULES: Mapping[type, tuple[Rule, ...]] = {
    DiskBody: _DISK,
    DiskPatchBody: (Rule("properties.*", _PATCHED),),
    ImagePatchBody: (Rule("properties.*", _PATCHED),),
    ImageBody: _IMAGE,
    GalleryBody: _GALLERY,
    MachineBody: _MACHINE,
    MachinePatchBody: _MACHINE_PATCH,
}


def refuse_not_in_force(raw: Mapping[str, Any], model: type) -> None:
    """Raises ManagementError 400 naming the first property of the body that is not in force, its value and why."""
    for rule in RULES.get(model, ()):
        for target, value in _found(raw, rule.path.split("."), rule.but):
            if not _asks(value, rule.may_be):
                continue
            if rule.secret:
                raise ManagementError(
                    400, "InvalidParameter", f"'{target}' is not supported: {rule.reason}", target
                )
            shown = value if isinstance(value, str) else msgspec.json.encode(value).decode()
            allowed = "".join(f" It may be {one!r}." for one in rule.may_be)
            text = f"The value '{shown[:200]}' of '{target}' is not supported: {rule.reason}{allowed}"
            raise ManagementError(400, "InvalidParameter", text, target)


def _asks(value: object, may_be: tuple[object, ...]) -> bool:
    if value is None or value is False or value in ({}, [], ""):
        return False
    plain = value.lower() if isinstance(value, str) else value
    return not any(plain == (one.lower() if isinstance(one, str) else one) for one in may_be)


def _found(value: Any, steps: list[str], but: tuple[str, ...], path: str = "") -> Iterator[tuple[str, Any]]:
    """What lies at the path, and the path of each."""
    if not steps:
        yield path, value
        return
    if not isinstance(value, Mapping):
        return
    wanted = steps[0].removesuffix("[]")
    for name, inner in value.items():
        if wanted not in ("*", name) or (wanted == "*" and name in but):
            continue
        at = f"{path}.{name}" if path else name
        if not steps[0].endswith("[]"):
            yield from _found(inner, steps[1:], but, at)
        elif isinstance(inner, list):
            for index, item in enumerate(inner):
                yield from _found(item, steps[1:], but, f"{at}[{index}]")
