"""Galleries, the definitions of images in them, and their versions."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from poolwright.commands import images, resources
from poolwright.commands.context import Context
from poolwright.commands.image_sources import source_image
from poolwright.commands.images import Source
from poolwright.commands.resources import Accepted, Outline, bad, conflict
from poolwright.domain.compute import VersionSpec, dump, image_state
from poolwright.domain.errors import ManagementError
from poolwright.domain.gallery import (
    DEFINITION_OF,
    VERSION_OF,
    version_number,
    versions,
)
from poolwright.domain.resource import Resource
from poolwright.domain.resource_id import (
    GALLERY_IMAGES,
    GALLERY_VERSIONS,
    MACHINES,
    ResourceId,
    image_key,
)
from poolwright.domain.states import ResourceState
from poolwright.store.base import Tx

_SOURCE = "properties.storageProfile.source.id"
#: Of a definition: what its versions were made by, so it stays as it is.
_FIXED = ("osType", "osState", "hyperVGeneration", "architecture", "identifier")


@dataclass(frozen=True, slots=True)
class _Made:
    sources: Sequence[Source]
    origin: Sequence[str]


def put(tx: Tx, ctx: Context, id: ResourceId, outline: Outline) -> Accepted:
    """Make a gallery or a definition, or change one. Raises ManagementError 400, 404, 409."""
    id, location = _place(tx, id, outline)
    existing = tx.resources.get(id.key)
    if existing is not None and existing.state is not ResourceState.FAILED:
        under_way = resources.joined(tx, existing, outline)
        return under_way or Accepted(change(tx, ctx, existing, location, outline))
    parents = []
    if id.type == GALLERY_IMAGES:
        _check_identifier(tx, id, json.loads(outline.document)["identifier"])
        parents = [(DEFINITION_OF, _parent(id).key)]
    resources.clear_failed(tx, existing)
    resource = resources.new(ctx, id, location, outline, None)
    resources.insert(tx, ctx, resource, parents)
    return Accepted(resource, True, resources.start_operation(tx, ctx, resource, "create"))


def put_version(tx: Tx, ctx: Context, id: ResourceId, outline: Outline, spec: VersionSpec) -> Accepted:
    """Make a version, or change how one that exists is published. Raises ManagementError 400, 404, 409."""
    if version_number(id.own_name) is None:
        text = "A version is named major.minor.patch, three whole numbers of 32 bits."
        raise ManagementError(
            400, "InvalidResourceName", f"The name '{id.own_name[:200]}' is not valid: {text}", "name"
        )
    id, location = _place(tx, id, outline)
    existing = tx.resources.get(id.key)
    if existing is not None and existing.state is not ResourceState.FAILED:
        under_way = resources.joined(tx, existing, outline)
        if under_way is not None:
            return under_way
        _check_same_sources(tx, existing, spec)
        published = replace(image_state(existing.inner), hidden=spec.hidden, keep_until=spec.keep_until)
        changed = replace(existing, inner=dump(published))
        return Accepted(change(tx, ctx, changed, location, outline))
    definition = resources.get(tx, _parent(id))
    about = json.loads(definition.properties)
    made = _sources(tx, spec, about["osState"])
    state = replace(
        images.frozen_state(ctx, made.sources),
        os_state=about["osState"],
        generation=about["hyperVGeneration"],
        hidden=spec.hidden,
        keep_until=spec.keep_until,
    )
    resources.clear_failed(tx, existing)
    resource = resources.new(ctx, id, location, outline, state)
    return images.insert(tx, ctx, resource, state, made.origin, [(VERSION_OF, definition.key)])


def change(tx: Tx, ctx: Context, existing: Resource, location: str, outline: Outline) -> Resource:
    """Replace what may change of a gallery, definition or version; 409 for what may not."""
    resources.check_not_busy(existing)
    resources.check_same_place(existing, location)
    if existing.type == GALLERY_IMAGES:
        have, wanted = json.loads(existing.properties), json.loads(outline.document)
        for name in _FIXED:
            if have.get(name) != wanted.get(name):
                raise conflict(
                    f"'{name}' of '{existing.id}' is {json.dumps(have.get(name))} and cannot be changed.",
                    "PropertyChangeNotAllowed",
                    f"properties.{name}",
                )
    resources.record(tx, ctx, existing.key, "resource.change")
    changed = replace(existing, tags=outline.tags, properties=outline.document, modified_at=ctx.now)
    return tx.resources.update(changed)


def delete(tx: Tx, ctx: Context, id: ResourceId, force: bool = False) -> Accepted | None:
    """Begin to delete; None when there is none. 409 while it holds something, or pools use it (unless forced)."""
    existing = tx.resources.get(id.key)
    if existing is None:
        return None
    if existing.type == GALLERY_VERSIONS:
        state = image_state(existing.inner)
        if state.keep_until is not None and ctx.now < state.keep_until:
            raise conflict(
                f"'{existing.id}' cannot be deleted before its end of life: blockDeletionBeforeEndOfLife is set.",
                target="properties.safetyProfile.blockDeletionBeforeEndOfLife",
            )
        if not force:
            images.check_unused(tx, existing)
        resources.check_readers(tx, existing, "delete it")
        return resources.begin_delete(tx, ctx, existing, replace(state, force=force))
    kind = VERSION_OF if existing.type == GALLERY_IMAGES else DEFINITION_OF
    inside = [edge.child for edge in tx.resources.children(existing.key) if edge.kind == kind]
    if inside:
        raise ManagementError(
            409,
            "CannotDeleteResource",
            f"'{existing.id}' cannot be deleted before what is nested in it: {len(inside)} resources, such as "
            f"'{inside[0].rpartition('/')[2]}'.",
            existing.id,
            [("NestedResource", key, "It must be deleted first.") for key in inside[:20]],
        )
    if existing.type == GALLERY_IMAGES and not force:
        images.refuse_used(existing, tx.pools.with_image(existing.key))
    return resources.begin_delete(tx, ctx, existing)


def children(tx: Tx, parent: ResourceId) -> list[Resource]:
    """Definitions of a gallery, or versions of a definition in order of their numbers. 404 without the parent."""
    found = resources.get(tx, parent)
    if found.type == GALLERY_IMAGES:
        return versions(tx.resources, found.key)
    inside = [tx.resources.get(edge.child) for edge in tx.resources.children(found.key)]
    return [definition for definition in inside if definition is not None]


def _place(tx: Tx, id: ResourceId, outline: Outline) -> tuple[ResourceId, str]:
    """As `resources.check_place`; of nested ones the parent must be there, and its place is theirs."""
    parent = id.parent
    id, location = resources.check_place(tx, id, outline)
    if parent is None:
        return id, location
    try:
        holder = resources.get(tx, parent)
    except ManagementError as error:
        text = f"'{id.text}' needs its parent first: {error.message}"
        raise ManagementError(404, "ParentResourceNotFound", text) from None
    if holder.state is not ResourceState.SUCCEEDED:
        raise conflict(f"'{holder.id}' is {holder.state}; nothing can be made in it.")
    resources.check_same_place(holder, location)
    return replace(id, name=f"{holder.name}/{id.own_name}"), location


def _parent(id: ResourceId) -> ResourceId:
    parent = id.parent
    assert parent is not None
    return parent


def _check_identifier(tx: Tx, id: ResourceId, wanted: dict[str, Any]) -> None:
    def spelled(names: dict[str, Any]) -> list[str]:
        return [str(names[part]).lower() for part in ("publisher", "offer", "sku")]

    for other in children(tx, _parent(id)):
        named = json.loads(other.properties)["identifier"]
        if other.key != id.key and spelled(named) == spelled(wanted):
            raise conflict(
                f"'{other.id}' has the identifier {':'.join(spelled(wanted))} already; it is unique in a gallery.",
                target="properties.identifier",
            )


def _sources(tx: Tx, spec: VersionSpec, os_state: str) -> _Made:
    if spec.source_id is None:
        return _from_disks(tx, spec)
    source = source_image(tx, _SOURCE, spec.source_id, machines=True)
    if source.type == MACHINES:
        sources, origin = images.machine_sources(tx, source, _SOURCE, os_state == "Generalized")
        return _Made(sources, origin)
    state = image_state(source.inner)
    if state.os_state != os_state:
        text = f"It is {state.os_state}, the definition says {os_state}."
        raise bad(_SOURCE, spec.source_id, text)
    return _Made(*images.image_sources(tx, source))


def _from_disks(tx: Tx, spec: VersionSpec) -> _Made:
    if spec.os_disk is None:
        text = "A version is made from storageProfile.source or from storageProfile.osDiskImage."
        raise bad("properties.storageProfile", "null", text)
    images.check_luns("properties.storageProfile.dataDiskImages", [disk.lun for disk in spec.data_disks])
    found = [
        images.disk_source(
            tx,
            disk,
            "osDiskImage.source.id" if disk.lun is None else f"dataDiskImages[lun {disk.lun}].source.id",
        )
        for disk in (spec.os_disk, *spec.data_disks)
    ]
    return _Made(found, list(dict.fromkeys(source.resource.key for source in found)))


def _check_same_sources(tx: Tx, existing: Resource, spec: VersionSpec) -> None:
    origins = {edge.parent for edge in tx.resources.parents(existing.key)}
    named = [spec.source_id] if spec.source_id else []
    named += [disk.source_id for disk in (spec.os_disk, *spec.data_disks) if disk is not None]
    for source in named:
        key = image_key(source)
        if key not in origins and not any(origin.startswith(f"{key}/versions/") for origin in origins):
            text = f"The version '{existing.id}' exists already; what it is made from cannot be changed."
            raise conflict(text, "PropertyChangeNotAllowed")
