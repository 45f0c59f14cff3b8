"""Microsoft.Compute disks and snapshots."""

from __future__ import annotations

from starlette.responses import Response

from poolwright.api.arm.call import Call, answer, compute_polling, empty, listed, tagged
from poolwright.api.arm.router import ArmRoute, Handler, in_group
from poolwright.api.auth import permission
from poolwright.api.blobs.addresses import disk_url
from poolwright.commands import disk_access, disks, resources
from poolwright.commands.resources import Accepted, Outline
from poolwright.domain.resource_id import DISKS, SNAPSHOTS
from poolwright.store.base import Tx
from poolwright.wire.arm.compute_in import (
    SNAPSHOT_TYPES,
    STORAGE_TYPES,
    access_level,
    disk_document,
    disk_sku,
    disk_spec,
)
from poolwright.wire.arm.compute_models import DiskBody, DiskPatchBody, GrantAccessBody
from poolwright.wire.arm.compute_out import disk as shown
from poolwright.wire.arm.decode import one_of, tags


def _put(type: str) -> Handler:
    async def put(call: Call) -> Response:
        body = call.decode(DiskBody)
        id = call.id(type)
        outline = Outline(
            body.location, tags(body.tags), disk_sku(body, type == SNAPSHOTS), disk_document(body)
        )
        spec = disk_spec(body)

        def command(tx: Tx) -> Accepted:
            call.check_conditions(tx.resources.get(id.key))
            return disks.put(tx, call.context, id, outline, spec, call.services.catalogue)

        made = await call.write(command)
        if made.operation is None:
            return tagged(shown(made.resource), made.resource)
        return answer(shown(made.resource), 202, compute_polling(call, made.operation))

    return put


def _get(type: str) -> Handler:
    async def get(call: Call) -> Response:
        found = await call.read(lambda tx: resources.get(tx, call.id(type)))
        return tagged(shown(found), found)

    return get


def _list(type: str) -> Handler:
    async def list_all(call: Call) -> Response:
        group = call.params.get("group")
        found = await call.read(lambda tx: resources.select(tx, call.subscription, group, type))
        return listed([shown(resource) for resource in found])

    return list_all


def _patch(type: str) -> Handler:
    async def patch(call: Call) -> Response:
        body = call.decode(DiskPatchBody)
        allowed = SNAPSHOT_TYPES if type == SNAPSHOTS else STORAGE_TYPES
        sku = one_of("sku.name", body.sku.name if body.sku is not None else None, allowed)
        changed = tags(body.tags) if body.tags is not None else None
        made = await call.write(lambda tx: disks.patch(tx, call.context, call.id(type), changed, sku))
        if made.operation is None:
            return tagged(shown(made.resource), made.resource)
        return answer(shown(made.resource), 202, compute_polling(call, made.operation))

    return patch


def _delete(type: str) -> Handler:
    async def delete(call: Call) -> Response:
        gone = await call.write(lambda tx: disks.delete(tx, call.context, call.id(type)))
        if gone is None or gone.operation is None:
            return empty(204)
        return empty(202, compute_polling(call, gone.operation))

    return delete


def _grant(type: str) -> Handler:
    async def grant(call: Call) -> Response:
        body = call.decode(GrantAccessBody)
        level = access_level(body)
        id = call.id(type)
        granted = await call.write(
            lambda tx: disk_access.grant(tx, call.context, id, level, body.duration_in_seconds)
        )
        return answer({"accessSAS": disk_url(call.url, granted)})

    return grant


def _revoke(type: str) -> Handler:
    async def revoke(call: Call) -> Response:
        ended = await call.write(lambda tx: disk_access.revoke(tx, call.context, call.id(type)))
        if ended.operation is None:
            return empty(200)
        return empty(202, compute_polling(call, ended.operation))

    return revoke


def _routes(type: str) -> tuple[ArmRoute, ...]:
    everywhere = f"/subscriptions/{{subscription}}/providers/{type}"
    grouped = in_group(type)
    one = f"{grouped}/{{name}}"
    read, write = permission(f"{type}/read"), permission(f"{type}/write")
    return (
        ArmRoute("GET", everywhere, read, _list(type)),
        ArmRoute("GET", grouped, read, _list(type)),
        ArmRoute("GET", one, read, _get(type)),
        ArmRoute("PUT", one, write, _put(type)),
        ArmRoute("PATCH", one, write, _patch(type)),
        ArmRoute("DELETE", one, permission(f"{type}/delete"), _delete(type)),
        ArmRoute("POST", f"{one}/beginGetAccess", permission(f"{type}/beginGetAccess/action"), _grant(type)),
        ArmRoute("POST", f"{one}/endGetAccess", permission(f"{type}/endGetAccess/action"), _revoke(type)),
    )


ROUTES = (*_routes(DISKS), *_routes(SNAPSHOTS))
