"""Request bodies of galleries to domain values."""

from __future__ import annotations

from typing import Any

import msgspec

from poolwright.domain.clock import Instant
from poolwright.domain.compute import ImageDiskSpec, VersionSpec
from poolwright.domain.errors import ManagementError
from poolwright.wire.arm.compute_in import CACHING, GENERATIONS, OS_TYPES
from poolwright.wire.arm.decode import one_of
from poolwright.wire.arm.gallery_models import (
    DefinitionBody,
    GalleryBody,
    PublishingProfile,
    TargetRegion,
    VersionBody,
    VersionDisk,
    VersionProperties,
)
from poolwright.wire.times import parse_time

_REPLICA_TYPES = ("Standard_LRS", "Standard_ZRS", "Premium_LRS", "PremiumV2_LRS")
REPLICAS_MAX = 100  # public limit of a region
_NAME_MAX = 128  # of each part of an identifier
_ONE_PLACE = "This service has one place, and a version is there whole when it is made."


def gallery_document(body: GalleryBody) -> bytes:
    """The properties to echo; 400 for what galleries here cannot do."""
    given = body.properties
    if body.identity is not None:
        raise _refused("identity", "...", "Galleries here act under no identity of their own.")
    if given.sharing_profile is not None:
        one_of("properties.sharingProfile.permissions", given.sharing_profile.permissions, ("Private",))
    if given.soft_delete_policy is not None and given.soft_delete_policy.is_soft_delete_enabled:
        text = "What is deleted here is gone."
        raise _refused("properties.softDeletePolicy.isSoftDeleteEnabled", True, text)
    return msgspec.json.encode(given)


def definition_document(body: DefinitionBody) -> bytes:
    """The properties to echo, defaults spelled out; 400 for a value outside its enum or what cannot run here."""
    given = body.properties
    os_type = one_of("properties.osType", given.os_type, OS_TYPES)
    if os_type != "Linux":
        raise _refused("properties.osType", os_type, "Images here hold Linux.")
    architecture = one_of("properties.architecture", given.architecture, ("x64", "Arm64"), "x64")
    if architecture != "x64":
        raise _refused("properties.architecture", architecture, "Nodes here have x64 processors.")
    for part in ("publisher", "offer", "sku"):
        value = getattr(given.identifier, part)
        if not 1 <= len(value) <= _NAME_MAX:
            raise _refused(f"properties.identifier.{part}", value, f"It has 1 to {_NAME_MAX} characters.")
    _moment("properties.endOfLifeDate", given.end_of_life_date)
    known: dict[str, Any] = {
        "osType": os_type,
        "osState": one_of("properties.osState", given.os_state, ("Generalized", "Specialized")),
        "hyperVGeneration": one_of(
            "properties.hyperVGeneration", given.hyper_v_generation, GENERATIONS, "V1"
        ),
        "architecture": architecture,
    }
    return msgspec.json.encode(msgspec.to_builtins(given) | known)


def version_spec(body: VersionBody, location: str) -> VersionSpec:
    """A version; 400 for two sources, for other places than `location`, and for what is not in force."""
    given = body.properties
    _refuse_not_in_force(given)
    published = given.publishing_profile
    hidden = published.exclude_from_latest
    for index, region in enumerate(published.target_regions):
        target = f"properties.publishingProfile.targetRegions[{index}]"
        _check_region(target, region, location)
        hidden = hidden or bool(region.exclude_from_latest)
    _check_publishing(published)
    until = _moment("properties.publishingProfile.endOfLifeDate", published.end_of_life_date)
    blocked = given.safety_profile is not None and given.safety_profile.block_deletion_before_end_of_life
    if blocked and until is None:
        text = "It needs publishingProfile.endOfLifeDate."
        raise _refused("properties.safetyProfile.blockDeletionBeforeEndOfLife", True, text)
    storage = given.storage_profile
    source = storage.source
    named = [] if source is None else [id for id in (source.id, source.virtual_machine_id) if id is not None]
    disks = storage.os_disk_image is not None or bool(storage.data_disk_images)
    if len(named) + disks != 1:
        text = (
            "Exactly one of 'properties.storageProfile.source' (an id or a virtualMachineId) and "
            f"'properties.storageProfile.osDiskImage' must be given; {len(named) + disks} were."
        )
        raise ManagementError(400, "InvalidParameter", text, "properties.storageProfile")
    system = storage.os_disk_image
    data = [
        _disk(f"properties.storageProfile.dataDiskImages[{index}]", disk, _lun(index, disk))
        for index, disk in enumerate(storage.data_disk_images)
    ]
    return VersionSpec(
        source_id=named[0] if named else None,
        os_disk=None if system is None else _disk("properties.storageProfile.osDiskImage", system, None),
        data_disks=tuple(data),
        hidden=hidden,
        keep_until=until if blocked else None,
    )


def version_document(body: VersionBody) -> bytes:
    """The properties to echo."""
    return msgspec.json.encode(body.properties)


def _refuse_not_in_force(given: VersionProperties) -> None:
    source, published = given.storage_profile.source, given.publishing_profile
    not_yet = (
        ("properties.securityProfile", given.security_profile, "Nodes here have no secure boot."),
        ("properties.restore", given.restore or None, "What is deleted here is gone."),
        (
            "properties.storageProfile.source.communityGalleryImageId",
            source.community_gallery_image_id if source is not None else None,
            "This service cannot reach galleries of others.",
        ),
        (
            "properties.publishingProfile.targetExtendedLocations",
            published.target_extended_locations or None,
            _ONE_PLACE,
        ),
    )
    for target, value, reason in not_yet:
        if value is not None:
            raise _refused(target, value if isinstance(value, (str, bool)) else "...", reason)


def _check_region(target: str, region: TargetRegion, location: str) -> None:
    if region.name.replace(" ", "").lower() != location.replace(" ", "").lower():
        raise _refused(f"{target}.name", region.name, f"{_ONE_PLACE} It is called '{location}'.")
    if region.encryption is not None:
        raise _refused(f"{target}.encryption", "...", "Disks here are not encrypted.")
    if region.additional_replica_sets:
        raise _refused(f"{target}.additionalReplicaSets", "...", _ONE_PLACE)
    _check_replicas(f"{target}.regionalReplicaCount", region.regional_replica_count)
    one_of(f"{target}.storageAccountType", region.storage_account_type, _REPLICA_TYPES)


def _check_publishing(given: PublishingProfile) -> None:
    target = "properties.publishingProfile"
    _check_replicas(f"{target}.replicaCount", given.replica_count)
    one_of(f"{target}.storageAccountType", given.storage_account_type, _REPLICA_TYPES)
    one_of(f"{target}.replicationMode", given.replication_mode, ("Full", "Shallow"))
    strategies = ("PreferStandard_ZRS", "DefaultStandard_LRS")
    one_of(f"{target}.storageAccountStrategy", given.storage_account_strategy, strategies)


def _check_replicas(target: str, count: int | None) -> None:
    if count is not None and not 1 <= count <= REPLICAS_MAX:
        raise _refused(target, count, f"A region has 1 to {REPLICAS_MAX} replicas.")


def _lun(index: int, disk: VersionDisk) -> int:
    if disk.lun is None:
        target = f"properties.storageProfile.dataDiskImages[{index}].lun"
        raise ManagementError(
            400, "InvalidParameter", f"Required parameter '{target}' is missing (null).", target
        )
    return disk.lun


def _disk(target: str, disk: VersionDisk, lun: int | None) -> ImageDiskSpec:
    source = disk.source
    if source is not None and (source.uri or source.storage_account_id):
        text = "Upload to a disk (createOption Upload) and name that by its id."
        raise _refused(f"{target}.source.uri", source.uri or source.storage_account_id, text)
    if source is None or source.id is None:
        text = f"Required parameter '{target}.source.id' is missing (null)."
        raise ManagementError(400, "InvalidParameter", text, f"{target}.source.id")
    default = "ReadWrite" if lun is None else "None"
    caching = one_of(f"{target}.hostCaching", disk.host_caching, CACHING, default)
    return ImageDiskSpec(lun, source.id, caching or default)


def _moment(target: str, text: str | None) -> Instant | None:
    if text is None:
        return None
    try:
        return parse_time(text)
    except ValueError:
        raise _refused(target, text, "It must be a time as in 2026-12-31T00:00:00Z.") from None


def _refused(target: str, value: object, reason: str) -> ManagementError:
    text = f"The value '{str(value)[:200]}' of '{target}' is not valid: {reason}"
    return ManagementError(400, "InvalidParameter", text, target)
