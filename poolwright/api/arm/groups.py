"""Resource groups."""

from __future__ import annotations

from starlette.responses import Response

from poolwright.api.arm.call import Call, answer, empty, listed, location_polling
from poolwright.api.arm.router import ArmRoute
from poolwright.api.auth import permission
from poolwright.commands import groups, resources
from poolwright.commands.resources import Accepted, Outline
from poolwright.domain.resource_id import GROUPS, group_id
from poolwright.store.base import Tx
from poolwright.wire.arm.compute_models import TagsBody
from poolwright.wire.arm.decode import tags
from poolwright.wire.arm.directory import group as shown
from poolwright.wire.arm.group_models import GroupBody


async def put(call: Call) -> Response:
    """201 for a new group, 200 for one that was there."""
    body = call.decode(GroupBody)
    outline = Outline(body.location, tags(body.tags))

    def command(tx: Tx) -> Accepted:
        call.check_conditions(tx.resources.get(group_id(call.subscription, call.params["group"]).key))
        return groups.put(tx, call.context, call.subscription, call.params["group"], outline)

    made = await call.write(command)
    return answer(shown(made.resource), 201 if made.created else 200)


async def get(call: Call) -> Response:
    """One group."""
    wanted = group_id(call.subscription, call.params["group"])
    return answer(shown(await call.read(lambda tx: resources.get(tx, wanted))))


async def head(call: Call) -> Response:
    """204 when the group exists, else 404."""
    key = group_id(call.subscription, call.params["group"]).key
    return empty(404 if await call.read(lambda tx: tx.resources.get(key)) is None else 204)


async def list_all(call: Call) -> Response:
    """All groups."""
    found = await call.read(lambda tx: resources.select(tx, call.subscription, None, GROUPS))
    return listed([shown(group) for group in found])


async def patch(call: Call) -> Response:
    """Tags."""
    body = call.decode(TagsBody)
    changed = tags(body.tags) if body.tags is not None else None
    group = await call.write(
        lambda tx: groups.patch(tx, call.context, call.subscription, call.params["group"], changed)
    )
    return answer(shown(group))


async def delete(call: Call) -> Response:
    """202; the operation behind Location ends when nothing of the group is left."""
    gone = await call.write(
        lambda tx: groups.delete(tx, call.context, call.subscription, call.params["group"])
    )
    assert gone.operation is not None
    base = f"/subscriptions/{call.subscription}/operationresults"
    return empty(202, location_polling(call, base, gone.operation))


_GROUPS = "/subscriptions/{subscription}/resourceGroups"
_ONE = f"{_GROUPS}/{{group}}"
_READ = permission("Microsoft.Resources/subscriptions/resourceGroups/read")
_WRITE = permission("Microsoft.Resources/subscriptions/resourceGroups/write")
ROUTES = (
    ArmRoute("GET", _GROUPS, _READ, list_all),
    ArmRoute("GET", _ONE, _READ, get),
    ArmRoute("HEAD", _ONE, _READ, head),
    ArmRoute("PUT", _ONE, _WRITE, put),
    ArmRoute("PATCH", _ONE, _WRITE, patch),
    ArmRoute("DELETE", _ONE, permission("Microsoft.Resources/subscriptions/resourceGroups/delete"), delete),
)
