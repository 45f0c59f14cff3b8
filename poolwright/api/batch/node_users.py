"""Handlers of users of nodes and of remote login."""

from __future__ import annotations

import asyncio

from poolwright.api.batch.answers import Answer, json_answer, written
from poolwright.api.batch.call import Call
from poolwright.api.batch.endpoints import front
from poolwright.api.batch.secrets import SECRETS
from poolwright.api.batch.services import NodeUnreachable
from poolwright.commands import node_users, pools
from poolwright.commands.node_users import Secrets
from poolwright.domain.errors import ServiceError
from poolwright.domain.node import Node
from poolwright.wire.convert import node_user as convert
from poolwright.wire.convert.network import login_port
from poolwright.wire.convert.node_user import UserBody


async def create(call: Call) -> Answer:
    """POST /pools/{poolId}/nodes/{nodeId}/users."""
    body = convert.read_create(call.body)
    name = node_users.check_name(body.name)
    secrets, params = await _secrets(body), call.params
    await call.write(
        lambda tx: node_users.create(
            tx,
            call.context,
            call.account,
            params["poolId"],
            params["nodeId"],
            name,
            body.admin,
            body.expires_at,
            secrets,
        )
    )
    return written(None, call.url, f"{call.url}/{name}")


async def replace(call: Call) -> Answer:
    """PUT /pools/{poolId}/nodes/{nodeId}/users/{userName}."""
    body, params = convert.read_replace(call.body), call.params
    secrets = await _secrets(body)
    await call.write(
        lambda tx: node_users.replace_user(
            tx,
            call.context,
            call.account,
            params["poolId"],
            params["nodeId"],
            params["userName"],
            body.expires_at,
            secrets,
        )
    )
    return written(None, call.url)


async def delete(call: Call) -> Answer:
    """DELETE /pools/{poolId}/nodes/{nodeId}/users/{userName}."""
    params = call.params
    await call.write(
        lambda tx: node_users.delete(
            tx, call.context, call.account, params["poolId"], params["nodeId"], params["userName"]
        )
    )
    return Answer()


async def remote_login_settings(call: Call) -> Answer:
    """GET /pools/{poolId}/nodes/{nodeId}/remoteloginsettings: an address by which this very client got here."""
    params = call.params
    node, pool = await call.read(
        lambda tx: (
            node_users.reachable(tx, call.account, params["poolId"], params["nodeId"]),
            pools.get(tx, call.account, params["poolId"]),
        )
    )
    if not pool.spec.network.public:
        reason = "The pool has no public addresses (nopublicipaddresses), so nobody logs in from outside."
        raise ServiceError("OperationNotValidOnNode", None, (("Reason", reason),))
    mapped = login_port(node, pool)
    port = await _door(call, node) if mapped is None else mapped
    return json_answer(
        {
            "odata.metadata": call.links.metadata("remoteloginsettings/@Element"),
            "remoteLoginIPAddress": front(call).address,
            "remoteLoginPort": port,
        }
    )


async def _door(call: Call, node: Node) -> int:
    doors = call.services.doors
    if doors is None:
        raise ServiceError("NodeNotReady", None, (("Reason", "This service forwards no remote login."),))
    try:
        return await doors.open(node.account, node.pool, node.id, node.machine)
    except NodeUnreachable as away:
        raise ServiceError("NodeNotReady", None, (("Reason", str(away)),)) from None


async def _secrets(body: UserBody) -> Secrets:
    hashed = None
    if body.password is not None:
        hashed = await asyncio.to_thread(SECRETS.hash_password, body.password)
    key = None if body.public_key is None else node_users.check_key(body.public_key)
    return Secrets(hashed, key)
