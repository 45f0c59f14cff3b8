"""Users of nodes: each rule once, and no trace of what was refused."""

from __future__ import annotations

import base64

import pytest

from poolwright.commands import node_users, nodes
from poolwright.commands.node_users import EXPIRES_AFTER, Secrets, check_key, check_name
from poolwright.domain.errors import ServiceError
from poolwright.domain.limits import NODE_USERS_MAX
from poolwright.domain.node import Logins, Node, NodeUser
from poolwright.domain.states import NodeState
from tests.unit.commands.conftest import START, A, World
from tests.unit.commands.values import add_node, deleting_pool, steady_pool

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJm7 visitor@host"
HASHED = Secrets("$6$hash")
KEYED = Secrets(None, KEY)


@pytest.fixture(autouse=True)
def _pool(world: World) -> None:
    steady_pool(world)
    add_node(world, "n1", state=NodeState.IDLE)
    world.woken()


def _node(world: World) -> Node:
    return world.read(lambda tx: nodes.get(tx, A, "P1", "n1"))


def _add(world: World, name: str, secrets: Secrets = HASHED, expires_at: int | None = None) -> Node:
    return world.do(node_users.create, "P1", "n1", name, False, expires_at, secrets)


def test_a_user_is_added_for_a_day(world: World) -> None:
    _add(world, "visitor")
    node = _node(world)
    assert node.logins.users == (NodeUser("visitor", False, START + EXPIRES_AFTER, "$6$hash", None),)
    assert node.logins.wanted == 1
    assert world.kinds("node/P1/n1") == ["node.user.create"]
    assert world.woken() == {("pool", "p1")}
    assert "$6$" not in repr(node), "hashes show nowhere"
    world.refused("NodeUserExists", node_users.create, "P1", "n1", "visitor", False, None, KEYED)


def test_a_replaced_user_keeps_only_what_is_given(world: World) -> None:
    world.do(node_users.create, "P1", "n1", "visitor", True, START + 5, HASHED)
    world.do(node_users.replace_user, "P1", "n1", "visitor", None, KEYED)
    assert _node(world).logins.users == (NodeUser("visitor", True, START + EXPIRES_AFTER, None, KEY),)
    assert _node(world).logins.wanted == 2
    world.refused("NodeUserNotFound", node_users.replace_user, "P1", "n1", "guest", None, KEYED)


def test_a_deleted_user_is_gone(world: World) -> None:
    _add(world, "visitor")
    _add(world, "helper")
    world.do(node_users.delete, "P1", "n1", "visitor")
    assert [user.name for user in _node(world).logins.users] == ["helper"]
    world.refused("NodeUserNotFound", node_users.delete, "P1", "n1", "visitor")


def test_what_a_user_needs(world: World) -> None:
    world.refused("MissingRequiredProperty", node_users.create, "P1", "n1", "visitor", False, None, Secrets())
    world.refused("InvalidPropertyValue", node_users.create, "P1", "n1", "visitor", False, START, HASHED)
    world.refused("InvalidPropertyValue", node_users.create, "P1", "n1", "root", False, None, HASHED)
    world.refused("NodeNotFound", node_users.create, "P1", "n9", "visitor", False, None, HASHED)
    world.refused("PoolNotFound", node_users.delete, "P9", "n1", "visitor")
    for number in range(NODE_USERS_MAX):
        _add(world, f"u{number}")
    world.refused("InvalidPropertyValue", node_users.create, "P1", "n1", "more", False, None, HASHED)


def test_only_nodes_that_run_have_users(world: World) -> None:
    add_node(world, "n2", state=NodeState.DEALLOCATED)
    world.refused(
        "OperationInvalidForCurrentState", node_users.create, "P1", "n2", "visitor", False, None, HASHED
    )
    deleting_pool(world, "gone")
    add_node(world, "n4", pool="gone", state=NodeState.IDLE)
    world.refused("PoolBeingDeleted", node_users.create, "gone", "n4", "visitor", False, None, HASHED)


@pytest.mark.parametrize(
    "name", ["Visitor", "1st", "-x", "a" * 33, "", "a b", "visitor\n", "root", "_azbatch", "_azbatchtask0"]
)
def test_names_no_account_can_have(name: str) -> None:
    with pytest.raises(ServiceError, match="InvalidPropertyValue"):
        check_name(name)


def test_keys_come_as_a_line_or_in_base64() -> None:
    assert check_key(f" {KEY}\n") == KEY
    assert check_key(base64.b64encode(KEY.encode()).decode()) == KEY


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ssh-dss AAAA",
        "ssh-rsa",
        f"{KEY}\nssh-rsa AAAA",
        'command="x" ' + KEY,
        "ssh-rsa !!",
        "%",
        "A" * 20_000,
    ],
)
def test_keys_that_are_none(text: str) -> None:
    with pytest.raises(ServiceError, match="InvalidPropertyValue"):
        check_key(text)


def test_a_problem_of_the_image_is_told(world: World) -> None:
    row = add_node(world, "n5", state=NodeState.IDLE, logins=Logins(problem="no server"), address="10.0.0.1")
    with pytest.raises(ServiceError, match="no server"):
        world.read(lambda tx: node_users.reachable(tx, A, "P1", row.id))
    add_node(world, "n6", state=NodeState.IDLE)
    with pytest.raises(ServiceError, match="NodeNotReady"):
        world.read(lambda tx: node_users.reachable(tx, A, "P1", "n6"))
