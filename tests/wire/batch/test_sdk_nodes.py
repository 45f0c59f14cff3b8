"""Orders to nodes, their users and extensions, with the official SDK."""

from __future__ import annotations

from typing import Any

import pytest
from azure.batch import models
from azure.core.exceptions import HttpResponseError, ResourceExistsError, ResourceNotFoundError

from poolwright.domain.states import NodeState
from tests.unit.identity.parts import ACCOUNT
from tests.wire.batch.conftest import Live
from tests.wire.batch.test_sdk_sync import client, code_of, named, pool_options

__all__ = ["client"]


def test_orders_of_nodes(live: Live, client: Any) -> None:
    id = named(client, "ordered")
    client.create_pool(pool_options(id))
    stopped, resting, third = (
        live.add_node(id, number, state=state)
        for number, state in enumerate((NodeState.IDLE, NodeState.DEALLOCATED, NodeState.IDLE))
    )
    client.begin_deallocate_node(id, stopped.id, {"nodeDeallocateOption": "requeue"}, polling_interval=60)
    assert client.get_node(id, stopped.id).state == models.BatchNodeState.DEALLOCATING
    client.begin_start_node(id, resting.id, polling_interval=60)
    assert client.get_node(id, resting.id).state == models.BatchNodeState.STARTING
    with pytest.raises(HttpResponseError) as refused:
        client.begin_reimage_node(id, third.id, {"nodeReimageOption": "terminate"}, polling_interval=60)
    assert (refused.value.status_code, code_of(refused.value)) == (409, "OperationNotValidOnNode")
    counts = next(client.list_pool_node_counts(filter=f"poolId eq '{id}'")).dedicated
    assert counts.deallocating in (1, None), "older versions do not know it"
    assert (counts.starting, counts.idle, counts.total) == (1, 1, 3)


def test_users_of_a_node(live: Live, client: Any) -> None:
    id = named(client, "peopled")
    client.create_pool(pool_options(id))
    node = live.add_node(id, 1)
    user = models.BatchNodeUserCreateOptions(name="visitor", password="a secret nobody keeps", is_admin=True)
    client.create_node_user(id, node.id, user)
    with pytest.raises(ResourceExistsError) as twice:
        client.create_node_user(id, node.id, user)
    assert code_of(twice.value) == "NodeUserExists"
    key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJm7"
    client.replace_node_user(id, node.id, "visitor", models.BatchNodeUserReplaceOptions(ssh_public_key=key))
    kept = live.read(lambda tx: tx.nodes.get(ACCOUNT, id, node.id))
    assert kept is not None
    assert [(u.name, u.admin, u.password_hash, u.public_key) for u in kept.logins.users] == [
        ("visitor", True, None, key)
    ]
    way = client.get_node_remote_login_settings(id, node.id)
    assert (way.remote_login_ip_address, way.remote_login_port) == ("127.0.0.1", 50_022)
    client.delete_node_user(id, node.id, "visitor")
    with pytest.raises(ResourceNotFoundError) as gone:
        client.delete_node_user(id, node.id, "visitor")
    assert code_of(gone.value) == "NodeUserNotFound"
    assert b"a secret nobody keeps" not in live.database.read_bytes()


def test_extensions_of_a_node(live: Live, client: Any) -> None:
    id = named(client, "extended")
    client.create_pool(pool_options(id))
    node = live.add_node(id, 1)
    assert list(client.list_node_extensions(id, node.id)) == []
    with pytest.raises(ResourceNotFoundError) as missing:
        client.get_node_extension(id, node.id, "batchExtension")
    assert code_of(missing.value) == "ResourceNotFound"
