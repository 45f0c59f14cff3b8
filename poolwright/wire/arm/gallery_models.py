"""Request models of galleries, definitions and versions. What is not in force is named here to be refused by name."""

from __future__ import annotations

from typing import Any

from msgspec import Struct, field

from poolwright.wire.arm.compute_models import Echoed


class SharingProfile(Struct, frozen=True, omit_defaults=True):
    permissions: str | None = None


class SoftDeletePolicy(Struct, frozen=True, omit_defaults=True, rename="camel"):
    is_soft_delete_enabled: bool = False


class GalleryProperties(Struct, frozen=True, omit_defaults=True, rename="camel"):
    description: str | None = None
    sharing_profile: SharingProfile | None = None
    soft_delete_policy: SoftDeletePolicy | None = None


class GalleryBody(Struct, frozen=True):
    """PUT of a gallery."""

    properties: GalleryProperties = GalleryProperties()
    location: str | None = None
    tags: dict[str, str] | None = None
    identity: Echoed | None = None


class Identifier(Struct, frozen=True):
    publisher: str
    offer: str
    sku: str


class Range(Struct, frozen=True, omit_defaults=True):
    min: int | None = None
    max: int | None = None


class Recommended(Struct, frozen=True, omit_defaults=True):
    cores: Range | None = field(default=None, name="vCPUs")
    memory: Range | None = None


class Disallowed(Struct, frozen=True, omit_defaults=True, rename="camel"):
    disk_types: list[str] = []


class PurchasePlan(Struct, frozen=True, omit_defaults=True):
    name: str | None = None
    publisher: str | None = None
    product: str | None = None


class Feature(Struct, frozen=True, omit_defaults=True, rename="camel"):
    name: str | None = None
    value: str | None = None
    starts_at_version: str | None = None


class DefinitionProperties(Struct, frozen=True, omit_defaults=True, rename="camel"):
    os_type: str
    os_state: str
    identifier: Identifier
    description: str | None = None
    eula: str | None = None
    privacy_statement_uri: str | None = None
    release_note_uri: str | None = None
    hyper_v_generation: str | None = field(default=None, name="hyperVGeneration")
    end_of_life_date: str | None = None
    recommended: Recommended | None = None
    disallowed: Disallowed | None = None
    purchase_plan: PurchasePlan | None = None
    features: list[Feature] = []
    architecture: str | None = None
    allow_update_image: bool | None = None


class DefinitionBody(Struct, frozen=True):
    """PUT of a definition."""

    properties: DefinitionProperties
    location: str | None = None
    tags: dict[str, str] | None = None


class TargetRegion(Struct, frozen=True, omit_defaults=True, rename="camel"):
    name: str
    regional_replica_count: int | None = None
    storage_account_type: str | None = None
    exclude_from_latest: bool | None = None
    encryption: Echoed | None = None
    additional_replica_sets: list[Any] = []


class PublishingProfile(Struct, frozen=True, omit_defaults=True, rename="camel"):
    target_regions: list[TargetRegion] = []
    replica_count: int | None = None
    exclude_from_latest: bool = False
    end_of_life_date: str | None = None
    storage_account_type: str | None = None
    replication_mode: str | None = None
    target_extended_locations: list[Any] = []
    storage_account_strategy: str | None = None


class VersionSource(Struct, frozen=True, omit_defaults=True, rename="camel"):
    id: str | None = None
    virtual_machine_id: str | None = None
    community_gallery_image_id: str | None = None


class DiskSource(Struct, frozen=True, omit_defaults=True, rename="camel"):
    id: str | None = None
    uri: str | None = None
    storage_account_id: str | None = None


class VersionDisk(Struct, frozen=True, omit_defaults=True, rename="camel"):
    source: DiskSource | None = None
    host_caching: str | None = None
    lun: int | None = None


class VersionStorage(Struct, frozen=True, omit_defaults=True, rename="camel"):
    source: VersionSource | None = None
    os_disk_image: VersionDisk | None = None
    data_disk_images: list[VersionDisk] = []


class SafetyProfile(Struct, frozen=True, omit_defaults=True, rename="camel"):
    allow_deletion_of_replicated_locations: bool | None = None
    block_deletion_before_end_of_life: bool = False


class VersionProperties(Struct, frozen=True, omit_defaults=True, rename="camel"):
    storage_profile: VersionStorage
    publishing_profile: PublishingProfile = PublishingProfile()
    safety_profile: SafetyProfile | None = None
    security_profile: Echoed | None = None
    restore: bool = False


class VersionBody(Struct, frozen=True):
    """PUT of a version."""

    properties: VersionProperties
    location: str | None = None
    tags: dict[str, str] | None = None


class PatchBody(Struct, frozen=True):
    """PATCH of any of them: what is given is laid over what is there."""

    properties: Echoed = {}
    tags: dict[str, str] | None = None
    identity: Echoed | None = None
