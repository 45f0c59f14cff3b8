"""Microsoft.Compute galleries, the definitions of images in them, and their versions."""

from __future__ import annotations

import json
from typing import Any

import msgspec
from starlette.responses import Response

from poolwright.api.arm.call import Call, answer, compute_polling, empty, listed, tagged
from poolwright.api.arm.router import ArmRoute, Handler, in_group
from poolwright.api.auth import permission
from poolwright.commands import galleries, resources
from poolwright.commands.resources import Accepted, Outline
from poolwright.domain.compute import VersionSpec
from poolwright.domain.errors import ManagementError
from poolwright.domain.resource import Resource
from poolwright.domain.resource_id import GALLERIES, GALLERY_IMAGES, GALLERY_VERSIONS, ResourceId
from poolwright.store.base import Tx
from poolwright.wire.arm.decode import decode, tags
from poolwright.wire.arm.gallery_in import (
    definition_document,
    gallery_document,
    version_document,
    version_spec,
)
from poolwright.wire.arm.gallery_models import DefinitionBody, GalleryBody, PatchBody, VersionBody
from poolwright.wire.arm.gallery_out import RENDER, version

_PARTS = ("gallery", "image", "version")
_REPLICATION = "replicationstatus"


def _id(call: Call, type: str) -> ResourceId:
    """The gallery, definition or version the path names."""
    names = [call.params[part] for part in _PARTS[: type.count("/")]]
    if any("/" in name for name in names):  # an encoded slash would become another level
        raise ManagementError(400, "InvalidResourceName", "A name holds no slash.", "name")
    return ResourceId(call.subscription, call.params["group"], type, "/".join(names))


def _read(call: Call, type: str, raw: bytes) -> tuple[Outline, VersionSpec | None]:
    """A whole body: what every resource has, and of a version what it is made from."""
    if type == GALLERIES:
        gallery = decode(raw, GalleryBody)
        return Outline(gallery.location, tags(gallery.tags), document=gallery_document(gallery)), None
    if type == GALLERY_IMAGES:
        definition = decode(raw, DefinitionBody)
        made = Outline(definition.location, tags(definition.tags), document=definition_document(definition))
        return made, None
    body = decode(raw, VersionBody)
    spec = version_spec(body, call.services.settings.location)
    return Outline(body.location, tags(body.tags), document=version_document(body)), spec


def _apply(tx: Tx, call: Call, id: ResourceId, outline: Outline, spec: VersionSpec | None) -> Accepted:
    if spec is None:
        return galleries.put(tx, call.context, id, outline)
    return galleries.put_version(tx, call.context, id, outline, spec)


def _put(type: str) -> Handler:
    async def put(call: Call) -> Response:
        id = _id(call, type)
        outline, spec = _read(call, type, call.body)

        def command(tx: Tx) -> Accepted:
            call.check_conditions(tx.resources.get(id.key))
            return _apply(tx, call, id, outline, spec)

        made = await call.write(command)
        shown = RENDER[type](made.resource)
        if made.operation is None:
            return tagged(shown, made.resource)
        return answer(shown, 201, compute_polling(call, made.operation))

    return put


def _patch(type: str) -> Handler:
    async def patch(call: Call) -> Response:
        id = _id(call, type)
        given = call.decode(PatchBody)

        def command(tx: Tx) -> Resource:
            existing = resources.get(tx, id)
            call.check_conditions(existing)
            whole = {
                "location": existing.location,
                "tags": dict(existing.tags) if given.tags is None else given.tags,
                "properties": _laid_over(json.loads(existing.properties), given.properties),
                "identity": given.identity,
            }
            outline, spec = _read(call, type, msgspec.json.encode(whole))
            return _apply(tx, call, id, outline, spec).resource

        found = await call.write(command)
        return tagged(RENDER[type](found), found)

    return patch


def _laid_over(below: Any, above: Any) -> Any:
    """Objects are laid over one another member by member; anything else takes the place of what was there."""
    if not isinstance(below, dict) or not isinstance(above, dict):
        return above
    return below | {name: _laid_over(below.get(name), value) for name, value in above.items()}


def _get(type: str) -> Handler:
    async def get(call: Call) -> Response:
        found = await call.read(lambda tx: resources.get(tx, _id(call, type)))
        if type == GALLERY_VERSIONS and call.query.get("$expand", "").lower() == _REPLICATION:
            return tagged(version(found, with_replication=True), found)
        return tagged(RENDER[type](found), found)

    return get


def _delete(type: str) -> Handler:
    async def delete(call: Call) -> Response:
        force = call.flag("forceDeletion")
        gone = await call.write(lambda tx: galleries.delete(tx, call.context, _id(call, type), force))
        if gone is None or gone.operation is None:
            return empty(204)
        return empty(202, compute_polling(call, gone.operation))

    return delete


async def _galleries(call: Call) -> Response:
    """Galleries of the subscription or of a group."""
    group = call.params.get("group")
    found = await call.read(lambda tx: resources.select(tx, call.subscription, group, GALLERIES))
    return listed([RENDER[GALLERIES](gallery) for gallery in found])


def _children(type: str) -> Handler:
    async def children(call: Call) -> Response:
        parent = GALLERIES if type == GALLERY_IMAGES else GALLERY_IMAGES
        found = await call.read(lambda tx: galleries.children(tx, _id(call, parent)))
        return listed([RENDER[type](child) for child in found])

    return children


def _routes(type: str, one: str, below: str, list_all: Handler) -> tuple[ArmRoute, ...]:
    return (
        ArmRoute("GET", below, permission(f"{type}/read"), list_all),
        ArmRoute("GET", one, permission(f"{type}/read"), _get(type)),
        ArmRoute("PUT", one, permission(f"{type}/write"), _put(type)),
        ArmRoute("PATCH", one, permission(f"{type}/write"), _patch(type)),
        ArmRoute("DELETE", one, permission(f"{type}/delete"), _delete(type)),
    )


_GROUP = in_group(GALLERIES)
_GALLERY = f"{_GROUP}/{{gallery}}"
_IMAGE = f"{_GALLERY}/images/{{image}}"
_VERSION = f"{_IMAGE}/versions/{{version}}"
ROUTES = (
    ArmRoute(
        "GET",
        f"/subscriptions/{{subscription}}/providers/{GALLERIES}",
        permission(f"{GALLERIES}/read"),
        _galleries,
    ),
    *_routes(GALLERIES, _GALLERY, _GROUP, _galleries),
    *_routes(GALLERY_IMAGES, _IMAGE, f"{_GALLERY}/images", _children(GALLERY_IMAGES)),
    *_routes(GALLERY_VERSIONS, _VERSION, f"{_IMAGE}/versions", _children(GALLERY_VERSIONS)),
)
