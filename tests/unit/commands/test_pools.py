"""Pools: each rule once, and no trace of what was refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from poolwright.commands import images, pools
from poolwright.commands.context import Caller, Preconditions
from poolwright.domain.clock import MINUTE, etag
from poolwright.domain.pool import ImageReference, Pool, PoolSpec, Resize, ResizeError
from poolwright.domain.resource import Lineage, Resource, pool_key
from poolwright.domain.resource_id import GALLERY_IMAGES, GALLERY_VERSIONS
from poolwright.domain.states import AllocationState, DeallocationOption, PoolState, ResourceState
from tests.unit.commands.conftest import START, A, World
from tests.unit.commands.values import (
    ANY,
    CUSTOM,
    IMAGE,
    MARKET,
    add_image,
    add_node,
    deleting_pool,
    image,
    steady_pool,
)


def _pool(world: World, id: str = "P1") -> Pool:
    return world.read(lambda tx: pools.get(tx, A, id))


@pytest.mark.parametrize(("dedicated", "low"), [(3, 2), (0, 0), (None, 4), (1, None)])
def test_a_pool_starts_resizing(world: World, dedicated: int | None, low: int | None) -> None:
    pool = world.do(pools.create, "P1", MARKET, b'{"id":"P1"}', dedicated, low)
    assert _pool(world, "p1") == pool
    assert (pool.state, pool.allocation) == (PoolState.ACTIVE, AllocationState.RESIZING)
    assert (pool.target_dedicated, pool.target_low_priority) == (dedicated or 0, low or 0)
    assert pool.resize == Resize(START, 15 * MINUTE, number=1, grows=bool((dedicated or 0) + (low or 0)))
    assert len(pool.uid) == 32
    assert world.kinds("pool/p1") == ["pool.create", "pool.resize.start"]
    assert world.woken() == {("pool", "p1")}


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"vm_size": "standard_x9"}, "vmSize"),
        ({"slots_per_node": 0}, "taskSlotsPerNode"),
        ({"slots_per_node": 9}, "taskSlotsPerNode"),
        ({"vm_size": "standard_d64_v3", "slots_per_node": 257}, "taskSlotsPerNode"),
        ({"resize_timeout": 5 * MINUTE - 1}, "resizeTimeout"),
        ({"image": ImageReference("no id")}, "virtualMachineImageId"),
        ({"image": ImageReference(IMAGE.replace("images", "disks") + "x")}, "virtualMachineImageId"),
        ({"image": ImageReference(None, "debian", "debian-99", "99")}, "imageReference"),
        ({"agent_sku": "batch.node.ubuntu 22.04"}, "nodeAgentSKUId"),
    ],
)
def test_specs_that_are_refused(world: World, changes: dict[str, object], named: str) -> None:
    spec = replace(MARKET, **changes)  # type: ignore[arg-type]
    error = world.refused("InvalidPropertyValue", pools.create, "P1", spec, b"{}", 1, 0)
    assert dict(error.values)["PropertyName"].endswith(named)


def test_slots_up_to_four_a_core_and_256(world: World) -> None:
    world.do(pools.create, "a", replace(MARKET, slots_per_node=8), b"{}", 0, 0)
    world.do(pools.create, "b", replace(MARKET, vm_size="Standard_D64_v3", slots_per_node=256), b"{}", 0, 0)


@pytest.mark.parametrize("id", ["", "a b", "a/b", "x" * 65, "é"])
def test_ids_that_are_refused(world: World, id: str) -> None:
    world.refused("InvalidPropertyValue", pools.create, id, MARKET, b"{}", 1, 0)


def test_targets(world: World) -> None:
    world.refused("MissingRequiredProperty", pools.create, "P1", MARKET, b"{}", None, None)
    error = world.refused("InvalidPropertyValue", pools.create, "P1", MARKET, b"{}", 0, -1)
    assert dict(error.values)["PropertyName"] == "targetLowPriorityNodes"
    error = world.refused("InvalidPropertyValue", pools.create, "P1", MARKET, b"{}", 10_001, 0)
    assert "at most 10000" in dict(error.values)["Reason"]


def test_an_unknown_agent(world: World) -> None:
    spec = replace(MARKET, agent_sku="batch.node.amiga 1")
    error = world.refused("NodeAgentSKUNotFound", pools.create, "P1", spec, b"{}", 1, 0)
    assert error.status == 404
    assert "batch.node.debian 12" in dict(error.values)["Known"]


def test_an_id_is_used_once_whatever_its_case(world: World) -> None:
    steady_pool(world)
    world.refused("PoolExists", pools.create, "p1", MARKET, b"{}", 1, 0)


def test_the_id_of_a_pool_being_deleted_is_not_free(world: World) -> None:
    deleting_pool(world)
    world.refused("PoolBeingDeleted", pools.create, "p1", MARKET, b"{}", 1, 0)


def test_the_quota_of_pools(world: World) -> None:
    world.limit(pools=1)
    steady_pool(world)
    world.refused("PoolQuotaReached", pools.create, "P2", MARKET, b"{}", 1, 0)


def test_nothing_is_made_in_an_account_that_is_gone(world: World) -> None:
    world.write(lambda tx: tx.accounts.delete(A))
    world.refused("ResourceNotFound", pools.create, "P1", MARKET, b"{}", 1, 0)


def test_a_pool_from_a_custom_image_is_bound_to_it(world: World) -> None:
    add_image(world)
    world.do(pools.create, "P1", CUSTOM, b"{}", 1, 0)
    edge = Lineage(pool_key(A, "P1"), (IMAGE + "img").lower(), "pool-of")
    assert world.read(lambda tx: tx.resources.parents(f"pool/{A}/p1")) == [edge]
    assert [p.id for p in world.read(lambda tx: tx.pools.with_image(edge.parent))] == ["P1"]
    world.write(lambda tx: tx.pools.delete(A, "P1"))
    assert world.read(lambda tx: tx.resources.parents(f"pool/{A}/p1")) == []


def test_a_shared_key_cannot_name_a_custom_image(world: World) -> None:
    add_image(world)
    world.caller = Caller("sharedkey", A)
    error = world.refused("AuthenticationFailed", pools.create, "P1", CUSTOM, b"{}", 1, 0)
    assert error.status == 403
    detail = (
        "The specified type of authentication SharedKey is not allowed when external resources of type Compute"
        " are linked."
    )
    assert error.values == (("AuthenticationErrorDetail", detail),)
    # Form is judged first, existence after.
    malformed = replace(CUSTOM, image=ImageReference("x"))
    world.refused("InvalidPropertyValue", pools.create, "P1", malformed, b"{}", 1, 0)
    world.refused("InvalidPropertyValue", pools.create, "P1", CUSTOM, b"{}", 2501, 0)
    unknown = replace(CUSTOM, image=ImageReference(IMAGE + "unknown"))
    world.refused("AuthenticationFailed", pools.create, "P1", unknown, b"{}", 1, 0)
    world.settings = replace(world.settings, strict_custom_image_auth=False)
    world.do(pools.create, "P1", CUSTOM, b"{}", 1, 0)


def test_a_shared_key_may_name_a_marketplace_image(world: World) -> None:
    world.caller = Caller("sharedkey", A)
    world.do(pools.create, "P1", MARKET, b"{}", 1, 0)


def test_the_image_must_be_ready(world: World) -> None:
    error = world.refused("InvalidPropertyValue", pools.create, "P1", CUSTOM, b"{}", 1, 0)
    assert dict(error.values)["PropertyName"].endswith("virtualMachineImageId")
    world.write(lambda tx: tx.resources.insert(image(state=ResourceState.CREATING)))
    error = world.refused("InvalidPropertyValue", pools.create, "P1", CUSTOM, b"{}", 1, 0)
    assert "Creating" in dict(error.values)["Reason"]


def test_the_agent_must_fit_the_image(world: World) -> None:
    world.write(lambda tx: tx.resources.insert(image(agent="batch.node.ubuntu 22.04")))
    error = world.refused("InvalidPropertyValue", pools.create, "P1", CUSTOM, b"{}", 1, 0)
    values = dict(error.values)
    assert values["PropertyName"].endswith("nodeAgentSKUId")
    assert "batch.node.ubuntu 22.04" in values["Reason"]
    assert "batch.node.debian 12" in values["Reason"]
    unknown = replace(CUSTOM, agent_sku="batch.node.amiga 1")
    world.refused("NodeAgentSKUNotFound", pools.create, "P1", unknown, b"{}", 1, 0)
    world.do(pools.create, "P1", replace(CUSTOM, agent_sku="Batch.Node.Ubuntu 22.04"), b"{}", 1, 0)


def test_an_image_without_an_agent_leaves_the_choice_to_the_caller(world: World) -> None:
    world.write(lambda tx: tx.resources.insert(image(agent=None)))
    unknown = replace(CUSTOM, agent_sku="batch.node.amiga 1")
    world.refused("NodeAgentSKUNotFound", pools.create, "P1", unknown, b"{}", 1, 0)
    world.do(pools.create, "P1", CUSTOM, b"{}", 1, 0)


def test_limits_of_a_custom_image(world: World) -> None:
    add_image(world)
    error = world.refused("InvalidPropertyValue", pools.create, "P1", CUSTOM, b"{}", 2501, 0)
    assert dict(error.values)["PropertyName"] == "targetDedicatedNodes"
    error = world.refused("InvalidPropertyValue", pools.create, "P1", CUSTOM, b"{}", 0, 1001)
    assert dict(error.values)["PropertyName"] == "targetLowPriorityNodes"
    steady_pool(world, spec=CUSTOM, dedicated=2500, low=1000)
    # Only the sum is too large: accepted, and left to the pool's loop.
    world.do(pools.create, "P2", CUSTOM, b"{}", 2500, 1000)
    world.refused("InvalidPropertyValue", pools.resize, "P1", 2501, None, None, None, ANY)
    steady_pool(world, "P3", MARKET, 5000)


def test_a_pool_may_name_a_version_or_a_definition(world: World) -> None:
    definition = IMAGE.replace("/images/", "/galleries/Films/images/") + "Renderer"
    spec = replace(CUSTOM, image=ImageReference(definition))
    world.refused("InvalidPropertyValue", pools.create, "P1", spec, b"{}", 1, 0)
    world.write(lambda tx: tx.resources.insert(image("Films/Renderer", type=GALLERY_IMAGES, id=definition)))
    error = world.refused("InvalidPropertyValue", pools.create, "P1", spec, b"{}", 1, 0)
    assert "excluded from latest" in dict(error.values)["Reason"]

    def add(number: str, **state: Any) -> Resource:
        made = image(
            f"Films/Renderer/{number}", type=GALLERY_VERSIONS, id=f"{definition}/versions/{number}", **state
        )
        world.write(lambda tx: tx.resources.insert(made))
        world.write(lambda tx: tx.resources.link(Lineage(made.key, definition.lower(), "version-of")))
        return made

    one = add("1.0.0")
    world.do(pools.create, "P1", spec, b"{}", 1, 0)
    world.do(pools.create, "P2", replace(spec, image=ImageReference(one.id)), b"{}", 1, 0)
    assert [p.id for p in world.read(lambda tx: images.users(tx, one))] == ["P2", "P1"], "P1 has no other"
    two = add("2.0.0", os_state="Specialized")
    error = world.refused(
        "InvalidPropertyValue", pools.create, "P3", replace(spec, image=ImageReference(two.id)), b"{}", 1, 0
    )
    assert "specialized" in dict(error.values)["Reason"]
    assert [p.id for p in world.read(lambda tx: images.users(tx, one))] == ["P2"]
    add_node(world, "n1", image=one.id)
    assert [p.id for p in world.read(lambda tx: images.users(tx, one))] == ["P2", "P1"], "n1 is made from it"


def test_delete(world: World) -> None:
    pool = steady_pool(world)
    world.woken()
    world.refused("PoolNotFound", pools.delete, "nobody", ANY)
    world.refused("ConditionNotMet", pools.delete, "P1", Preconditions(if_match="0x1"))
    world.do(pools.delete, "p1", Preconditions(if_match=etag(pool.modified_at)))
    after = _pool(world)
    assert after.state is PoolState.DELETING
    assert after.modified_at > pool.modified_at
    assert world.kinds("pool/P1")[-1] == "pool.delete.start"
    assert world.woken() == {("pool", "p1")}
    world.refused("PoolBeingDeleted", pools.delete, "P1", ANY)
    world.refused("PoolBeingDeleted", pools.resize, "P1", 1, None, None, None, ANY)
    world.refused("PoolBeingDeleted", pools.stop_resize, "P1", ANY)
    world.refused("PoolBeingDeleted", pools.patch, "P1", lambda p: (p.spec, b"{}"), ANY)
    world.refused("PoolBeingDeleted", pools.remove_nodes, "P1", ["n1"], None, None, ANY)


def test_a_pool_can_be_deleted_while_it_resizes(world: World) -> None:
    world.do(pools.create, "P1", MARKET, b"{}", 5, 0)
    world.do(pools.delete, "P1", ANY)
    assert _pool(world).state is PoolState.DELETING


def test_resize(world: World) -> None:
    pool = steady_pool(world, dedicated=1, low=2)
    world.write(lambda tx: tx.pools.update(replace(pool, resize_errors=(ResizeError("X", "y"),))))
    after = world.do(pools.resize, "P1", 7, None, 20 * MINUTE, DeallocationOption.TERMINATE, ANY)
    assert _pool(world) == after
    assert (after.target_dedicated, after.target_low_priority) == (7, 2)
    assert after.allocation is AllocationState.RESIZING
    assert after.resize == Resize(START, 20 * MINUTE, DeallocationOption.TERMINATE, 2, grows=True)
    assert after.resize_errors == ()
    assert etag(after.modified_at) != etag(pool.modified_at)
    assert world.kinds("pool/P1")[-1] == "pool.resize.start"
    world.refused("PoolBeingResized", pools.resize, "P1", 8, None, None, None, ANY)
    world.refused("PoolBeingResized", pools.remove_nodes, "P1", ["n1"], None, None, ANY)


def test_resize_to_the_same_size_tries_again(world: World) -> None:
    steady_pool(world, dedicated=3)
    after = world.do(pools.resize, "P1", 3, None, None, None, ANY)
    assert (after.allocation, after.resize.number, after.resize.timeout) == (
        AllocationState.RESIZING,
        2,
        15 * MINUTE,
    )


def test_resizes_that_are_refused(world: World) -> None:
    steady_pool(world)
    world.refused("PoolNotFound", pools.resize, "nobody", 1, None, None, None, ANY)
    world.refused("MissingRequiredProperty", pools.resize, "P1", None, None, None, None, ANY)
    world.refused("InvalidPropertyValue", pools.resize, "P1", -1, None, None, None, ANY)
    world.refused("InvalidPropertyValue", pools.resize, "P1", 1, None, MINUTE, None, ANY)
    world.refused(
        "ConditionNotMet", pools.resize, "P1", 1, None, None, None, Preconditions(if_none_match="*")
    )


def test_pools_whose_nodes_talk_to_one_another_have_a_limit_of_their_own(world: World) -> None:
    talking = replace(MARKET, inter_node=True)
    world.refused("InvalidPropertyValue", pools.create, "P1", talking, b"{}", 101, 0)
    world.refused("InvalidPropertyValue", pools.create, "P1", talking, b"{}", 60, 41)
    world.do(pools.create, "P1", MARKET, b"{}", 101, 0)
    world.do(pools.create, "P2", talking, b"{}", 60, 40)
    pool = world.read(lambda tx: pools.get(tx, A, "P2"))
    world.write(lambda tx: tx.pools.update(replace(pool, allocation=AllocationState.STEADY)))
    world.refused("InvalidPropertyValue", pools.resize, "P2", 61, None, None, None, ANY)
    world.do(pools.resize, "P2", 61, 39, None, None, ANY)


def test_stop_resize(world: World) -> None:
    created = world.do(pools.create, "P1", MARKET, b"{}", 5, 0)
    world.woken()
    stopping = world.do(pools.stop_resize, "P1", ANY)
    assert world.woken() == {("pool", "p1")}
    assert stopping.allocation is AllocationState.STOPPING
    assert stopping.modified_at == created.modified_at
    world.refused("OperationInvalidForCurrentState", pools.stop_resize, "P1", ANY)
    world.refused("PoolBeingResized", pools.resize, "P1", 1, None, None, None, ANY)
    steady_pool(world, "P2")
    world.refused("OperationInvalidForCurrentState", pools.stop_resize, "P2", ANY)


def test_remove_nodes(world: World) -> None:
    steady_pool(world, dedicated=3, low=1)
    for id, dedicated in (("n1", True), ("n2", True), ("n3", True), ("l1", False)):
        add_node(world, id, dedicated)
    after = world.do(
        pools.remove_nodes, "P1", ["N1", "n3", "n1", "l1"], None, DeallocationOption.TASK_COMPLETION, ANY
    )
    assert (after.target_dedicated, after.target_low_priority) == (1, 0)
    assert after.resize == Resize(
        START, 15 * MINUTE, DeallocationOption.TASK_COMPLETION, 2, ("n1", "n3", "l1")
    )
    assert after.allocation is AllocationState.RESIZING


def test_targets_never_fall_below_zero(world: World) -> None:
    steady_pool(world, dedicated=0, low=0)
    add_node(world, "n1")
    add_node(world, "l1", dedicated=False)
    after = world.do(pools.remove_nodes, "P1", ["n1", "l1"], None, None, ANY)
    assert (after.target_dedicated, after.target_low_priority) == (0, 0)


def test_a_large_pool_cannot_become_one_of_a_custom_image(world: World) -> None:
    add_image(world)
    steady_pool(world, dedicated=2501)
    world.refused("InvalidPropertyValue", pools.patch, "P1", lambda p: (CUSTOM, b""), ANY)


def test_removals_that_are_refused(world: World) -> None:
    steady_pool(world, dedicated=1)
    add_node(world, "n1")
    world.refused("InvalidPropertyValue", pools.remove_nodes, "P1", [], None, None, ANY)
    world.refused("InvalidPropertyValue", pools.remove_nodes, "P1", ["n1"] * 101, None, None, ANY)
    world.refused("NodeNotFound", pools.remove_nodes, "P1", ["n1", "n2"], None, None, ANY)
    world.refused("InvalidPropertyValue", pools.remove_nodes, "P1", ["n1"], MINUTE, None, ANY)
    world.refused("PoolNotFound", pools.remove_nodes, "P9", ["n1"], None, None, ANY)


def test_patch(world: World) -> None:
    pool = steady_pool(world)
    spec = replace(MARKET, display_name="named")
    world.woken()
    after = world.do(pools.patch, "P1", lambda p: (spec, b"new"), ANY)
    assert (after.spec, after.document) == (spec, b"new")
    assert after.modified_at > pool.modified_at
    assert world.kinds("pool/P1")[-1] == "pool.patch"
    assert world.woken() == {("pool", "p1")}
    bad = replace(MARKET, vm_size="x")
    world.refused("InvalidPropertyValue", pools.patch, "P1", lambda p: (bad, b""), ANY)
    world.refused("ConditionNotMet", pools.patch, "P1", lambda p: (spec, b""), Preconditions(if_match="0x1"))
    world.refused("PoolNotFound", pools.patch, "P9", lambda p: (spec, b""), ANY)


def test_what_nodes_were_made_by_changes_only_without_nodes(world: World) -> None:
    add_image(world)
    steady_pool(world)
    larger = replace(MARKET, vm_size="standard_d4s_v3")
    assert world.do(pools.patch, "P1", lambda p: (larger, b""), ANY).spec == larger
    assert world.do(pools.patch, "P1", lambda p: (CUSTOM, b""), ANY).spec == CUSTOM
    assert [e.parent for e in world.read(lambda tx: tx.resources.parents(pool_key(A, "P1")))] == [image().key]
    world.caller = Caller("sharedkey", A)
    unknown = replace(CUSTOM, image=ImageReference(IMAGE + "unknown"))
    world.refused("AuthenticationFailed", pools.patch, "P1", lambda p: (unknown, b""), ANY)
    world.caller = Caller("token", "someone")
    world.refused("InvalidPropertyValue", pools.patch, "P1", lambda p: (unknown, b""), ANY)
    world.do(pools.patch, "P1", lambda p: (MARKET, b""), ANY)
    assert world.read(lambda tx: tx.resources.parents(pool_key(A, "P1"))) == []
    add_node(world, "n1")

    def slots(pool: Pool) -> tuple[PoolSpec, bytes]:
        return replace(pool.spec, slots_per_node=2), pool.document

    error = world.refused("OperationInvalidForCurrentState", pools.patch, "P1", slots, ANY)
    assert dict(error.values)["Properties"] == "taskSlotsPerNode"
    named = world.refused(
        "OperationInvalidForCurrentState",
        pools.patch,
        "P1",
        lambda p: (replace(MARKET, display_name="x"), b""),
        ANY,
    )
    assert dict(named.values)["Properties"] == "displayName"
    windows = replace(MARKET, licence="Windows_Server", automatic_updates=False)
    licensed = world.refused(
        "OperationInvalidForCurrentState", pools.patch, "P1", lambda _: (windows, b""), ANY
    )
    within = "virtualMachineConfiguration."
    assert dict(licensed.values)["Properties"] == f"{within}licenseType, {within}windowsConfiguration"
