"""Microsoft.Compute images."""

from __future__ import annotations

from starlette.responses import Response

from poolwright.api.arm.call import Call, answer, compute_polling, empty, listed, tagged
from poolwright.api.arm.router import ArmRoute, in_group
from poolwright.api.auth import permission
from poolwright.commands import images, resources
from poolwright.commands.resources import Accepted, Outline
from poolwright.domain.resource_id import IMAGES
from poolwright.store.base import Tx
from poolwright.wire.arm.compute_in import image_document, image_spec
from poolwright.wire.arm.compute_models import ImageBody, ImagePatchBody
from poolwright.wire.arm.compute_out import image as shown
from poolwright.wire.arm.decode import tags


async def put(call: Call) -> Response:
    """201 with the image in Creating, or 200 for one that exists."""
    body = call.decode(ImageBody)
    id = call.id(IMAGES)
    outline = Outline(body.location, tags(body.tags), document=image_document(body))
    spec = image_spec(body)

    def command(tx: Tx) -> Accepted:
        call.check_conditions(tx.resources.get(id.key))
        return images.put(tx, call.context, id, outline, spec)

    made = await call.write(command)
    if made.operation is None:
        return tagged(shown(made.resource), made.resource)
    return answer(shown(made.resource), 201, compute_polling(call, made.operation))


async def get(call: Call) -> Response:
    """One image."""
    found = await call.read(lambda tx: resources.get(tx, call.id(IMAGES)))
    return tagged(shown(found), found)


async def list_all(call: Call) -> Response:
    """Images of the subscription or of a group."""
    group = call.params.get("group")
    found = await call.read(lambda tx: resources.select(tx, call.subscription, group, IMAGES))
    return listed([shown(image) for image in found])


async def patch(call: Call) -> Response:
    """Tags."""
    body = call.decode(ImagePatchBody)
    changed = tags(body.tags) if body.tags is not None else None
    found = await call.write(lambda tx: images.patch(tx, call.context, call.id(IMAGES), changed))
    return tagged(shown(found), found)


async def delete(call: Call) -> Response:
    """202, or 204 when there is none; 409 naming the pools in the way unless forceDeletion=true."""
    force = call.flag("forceDeletion")
    gone = await call.write(lambda tx: images.delete(tx, call.context, call.id(IMAGES), force))
    if gone is None or gone.operation is None:
        return empty(204)
    return empty(202, compute_polling(call, gone.operation))


_GROUP = in_group(IMAGES)
_ONE = f"{_GROUP}/{{name}}"
_READ = permission(f"{IMAGES}/read")
_WRITE = permission(f"{IMAGES}/write")
ROUTES = (
    ArmRoute("GET", f"/subscriptions/{{subscription}}/providers/{IMAGES}", _READ, list_all),
    ArmRoute("GET", _GROUP, _READ, list_all),
    ArmRoute("GET", _ONE, _READ, get),
    ArmRoute("PUT", _ONE, _WRITE, put),
    ArmRoute("PATCH", _ONE, _WRITE, patch),
    ArmRoute("DELETE", _ONE, permission(f"{IMAGES}/delete"), delete),
)
