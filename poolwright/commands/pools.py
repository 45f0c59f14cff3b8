"""Pools: what callers may ask of them. Machines are made and removed by the pool's loop, never here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from poolwright.commands import accounts, certificates, pool_rules
from poolwright.commands.applications import check_references
from poolwright.commands.autoscale_rules import NO_SCALE, new_settings
from poolwright.commands.context import Context, Preconditions, next_modified, record, wake
from poolwright.commands.file_rules import check_pool_files
from poolwright.commands.storage_rules import check_mounts
from poolwright.domain import pool_events
from poolwright.domain.auto_pool import JOB, SCHEDULE
from poolwright.domain.autoscale import ScaleRequest
from poolwright.domain.clock import Micros
from poolwright.domain.errors import ServiceError, bad_property
from poolwright.domain.limits import REMOVE_NODES_MAX, RESIZE_TIMEOUT_DEFAULT
from poolwright.domain.node import Node
from poolwright.domain.pool import Pool, PoolSpec, Resize
from poolwright.domain.resource import Lineage, pool_key
from poolwright.domain.rules import check_id, not_found
from poolwright.domain.states import (
    ALLOCATION,
    POOL,
    AllocationState,
    DeallocationOption,
    PoolState,
    advance,
)
from poolwright.store.base import Tx

PoolChange = Callable[[Pool], tuple[PoolSpec, bytes]]
"""Computes the new spec and document from the pool as it is."""

_OWNERS = {JOB: "job", SCHEDULE: "job schedule"}
#: May be changed only while the pool has no nodes, since existing nodes were made by it: public names by our own.
_FIXED = {
    "vm_size": "vmSize",
    "image": "virtualMachineConfiguration.imageReference",
    "agent_sku": "virtualMachineConfiguration.nodeAgentSKUId",
    "os_disk": "virtualMachineConfiguration.osDisk",
    "data_disks": "virtualMachineConfiguration.dataDisks",
    "licence": "virtualMachineConfiguration.licenseType",
    "automatic_updates": "virtualMachineConfiguration.windowsConfiguration",
    "slots_per_node": "taskSlotsPerNode",
    "fill": "taskSchedulingPolicy.nodeFillType",
    "job_order": "taskSchedulingPolicy.jobDefaultOrder",
    "inter_node": "enableInterNodeCommunication",
    "display_name": "displayName",
    "upgrade_mode": "upgradePolicy",
    "accounts": "userAccounts",
    "mounts": "mountConfiguration",
    "network": "networkConfiguration",
}


def create(
    tx: Tx,
    ctx: Context,
    account: str,
    id: str,
    spec: PoolSpec,
    document: bytes,
    target_dedicated: int | None,
    target_low_priority: int | None,
    scale: ScaleRequest = NO_SCALE,
    *,
    auto: bool = False,
) -> Pool:
    """Make a pool, resizing from the start (also towards 0 nodes, as the public service does).

    An omitted target is 0; at least one must be given. A pool with autoscale begins steady and empty, and its first
    run is due at once. Form is judged before the caller, the caller before the image. Raises 400 InvalidPropertyValue,
    MissingRequiredProperty, and as `autoscale_rules.new_settings`; 403 AuthenticationFailed (custom image and shared
    key); 404 NodeAgentSKUNotFound; 409 PoolExists, PoolBeingDeleted, PoolQuotaReached, Invalid...References.
    """
    check_id("pool", id)
    pool_rules.check_spec(spec)
    autoscale = new_settings(scale, target_dedicated, target_low_priority, ctx.now)
    if autoscale is None:
        pool_rules.check_targets(ctx, spec, target_dedicated, target_low_priority)
        pool_rules.check_sum(spec, target_dedicated or 0, target_low_priority or 0)
    pool_rules.check_outside(ctx, spec)
    account = accounts.get(tx, account).name
    _check_new(tx, ctx, account, id)
    _check_named(tx, ctx, account, spec)
    pool_rules.check_support(ctx, spec)
    spec = pool_rules.settle_image(tx, spec)
    image = pool_rules.check_image(tx, ctx, spec)
    now = ctx.now
    grows = (target_dedicated or 0) + (target_low_priority or 0) > 0
    pool = Pool(
        account=account,
        id=id,
        spec=spec,
        document=document,
        state=PoolState.ACTIVE,
        state_at=now,
        allocation=AllocationState.STEADY if autoscale else AllocationState.RESIZING,
        allocation_at=now,
        created_at=now,
        modified_at=now,
        target_dedicated=target_dedicated or 0,
        target_low_priority=target_low_priority or 0,
        resize=Resize(now, spec.resize_timeout, number=0 if autoscale else 1, grows=grows),
        uid=ctx.ids.uuid().replace("-", ""),
        autoscale=autoscale,
    )
    tx.pools.insert(pool)
    _bind(tx, pool, image)
    record(tx, ctx, account, f"pool/{id}", "pool.create", **pool_events.created(pool, auto))
    if autoscale is None:
        _resize_started(tx, ctx, pool, auto)
    else:
        wake(tx, "pool", account, id)
    return pool


def _check_new(tx: Tx, ctx: Context, account: str, id: str) -> None:
    """The account has room for a pool of this id."""
    existing = tx.pools.get(account, id)
    if existing is not None:
        _check_active(existing)
        raise ServiceError("PoolExists")
    quota = ctx.settings.quotas.pools
    if tx.pools.count(account) >= quota:
        raise ServiceError("PoolQuotaReached", None, (("Limit", str(quota)),))


def _check_named(tx: Tx, ctx: Context, account: str, spec: PoolSpec) -> None:
    """What the pool names of its account is there."""
    check_pool_files(tx, ctx, account, spec)
    check_references(tx, account, spec.packages)
    certificates.check_references(tx, account, spec.certificates)


def get(tx: Tx, account: str, id: str) -> Pool:
    """The pool. Raises PoolNotFound (404)."""
    pool = tx.pools.get(account, id)
    if pool is None:
        raise not_found("pool", id)
    return pool


def delete(tx: Tx, ctx: Context, account: str, id: str, pre: Preconditions, force: bool = False) -> None:
    """Begin to delete the pool: a resize under way ends, its nodes go, their tasks are requeued, then the pool goes.

    An auto pool goes with its job or schedule, and before that only with `force`. Raises 404 PoolNotFound, 409
    PoolBeingDeleted or OperationInvalidForCurrentState (auto pool in use), 412 ConditionNotMet.
    """
    pool = changeable(tx, account, id, pre)
    holder = tx.auto_pools.holder(pool.account, pool.id)
    if holder is not None and not force:
        reason = (
            f"The pool was made for the {_OWNERS[holder.owner]} {holder.owner_id} and goes with it; force=true"
            " deletes it all the same."
        )
        raise ServiceError("OperationInvalidForCurrentState", None, (("Reason", reason),))
    advance(f"pool {pool.id}", POOL, pool.state, PoolState.DELETING)
    modified = next_modified(ctx, pool.modified_at)
    tx.pools.update(replace(pool, state=PoolState.DELETING, state_at=ctx.now, modified_at=modified))
    record(tx, ctx, pool.account, f"pool/{pool.id}", "pool.delete.start")
    wake(tx, "pool", pool.account, pool.id)


def patch(tx: Tx, ctx: Context, account: str, id: str, change: PoolChange, pre: Preconditions) -> Pool:
    """Change the pool. What existing nodes were made by can change only while there are none.

    New nodes follow at once, existing ones when they restart. Raises 400 as `create`, 403 for a new custom image
    and a shared key, 404 PoolNotFound, 409 PoolBeingDeleted or OperationInvalidForCurrentState, 412.
    """
    pool = changeable(tx, account, id, pre)
    spec, document = change(pool)
    spec = pool_rules.settle_image(tx, spec, pool.spec.image)
    pool_rules.check_spec(spec)
    check_pool_files(tx, ctx, pool.account, spec)
    if spec.packages != pool.spec.packages:
        check_references(tx, pool.account, spec.packages)
    if spec.certificates != pool.spec.certificates:
        certificates.check_references(tx, pool.account, spec.certificates)
    fixed = [name for name in _FIXED if getattr(spec, name) != getattr(pool.spec, name)]
    image_changed = spec.image != pool.spec.image or spec.agent_sku != pool.spec.agent_sku
    image = None
    if fixed:
        pool_rules.check_targets(ctx, spec, pool.target_dedicated, pool.target_low_priority)
        pool_rules.check_sum(spec, pool.target_dedicated, pool.target_low_priority)
        if image_changed:
            pool_rules.check_caller(ctx, spec)
            pool_rules.check_support(ctx, spec)
            image = pool_rules.check_image(tx, ctx, spec)
        elif {"os_disk", "data_disks"} & set(fixed):
            pool_rules.check_image(tx, ctx, spec)
        if "mounts" in fixed:
            check_mounts(spec, ctx.settings.exports)
        if tx.nodes.counts(pool.account, pool.id):
            values = (
                ("Properties", ", ".join(_FIXED[name] for name in fixed)),
                ("Reason", "The pool has nodes; resize it to 0 first."),
            )
            raise ServiceError("OperationInvalidForCurrentState", None, values)
    modified = next_modified(ctx, pool.modified_at)
    changed = tx.pools.update(replace(pool, spec=spec, document=document, modified_at=modified))
    if image_changed:
        tx.resources.unlink(pool_key(pool.account, pool.id))
        _bind(tx, changed, image)
    record(tx, ctx, pool.account, f"pool/{pool.id}", "pool.patch")
    wake(tx, "pool", pool.account, pool.id)
    return changed


def resize(
    tx: Tx,
    ctx: Context,
    account: str,
    id: str,
    dedicated: int | None,
    low_priority: int | None,
    timeout: Micros | None,
    option: DeallocationOption | None,
    pre: Preconditions,
) -> Pool:
    """Set new targets; an omitted one stays. Also the way to try again after a failed resize.

    `timeout` defaults to 15 minutes and is at least five; `option` says what becomes of tasks on nodes that go
    (default requeue). Raises 400, 404 PoolNotFound, 409 PoolBeingDeleted, PoolBeingResized or
    OperationInvalidForCurrentState (autoscale is on), 412.
    """
    pool = get(tx, account, id)
    pool_rules.check_targets(ctx, pool.spec, dedicated, low_priority)
    if pool.autoscaled:
        changeable(tx, account, id, pre)
        values = (("Reason", "A formula sizes the pool; disable autoscale first."),)
        raise ServiceError("OperationInvalidForCurrentState", None, values)
    targets = (
        pool.target_dedicated if dedicated is None else dedicated,
        pool.target_low_priority if low_priority is None else low_priority,
    )
    pool_rules.check_sum(pool.spec, *targets)
    return _start_resize(tx, ctx, steady(pool, pre), targets, timeout, option, ())


def stop_resize(tx: Tx, ctx: Context, account: str, id: str, pre: Preconditions) -> Pool:
    """Stop a resize: what came stays, what has not gone stays, and the pool's loop makes that the target.

    The entity tag stays, as it does in the public service. Raises 404 PoolNotFound, 409 PoolBeingDeleted or
    OperationInvalidForCurrentState (no resize under way, or stopping already), 412.
    """
    pool = changeable(tx, account, id, pre)
    if pool.allocation is not AllocationState.RESIZING:
        values = (("AllocationState", pool.allocation.value), ("Reason", "No resize is under way."))
        raise ServiceError("OperationInvalidForCurrentState", None, values)
    stopping = advance(f"pool {pool.id}", ALLOCATION, pool.allocation, AllocationState.STOPPING)
    changed = tx.pools.update(replace(pool, allocation=stopping, allocation_at=ctx.now))
    record(tx, ctx, pool.account, f"pool/{pool.id}", "pool.resize.stop")
    wake(tx, "pool", pool.account, pool.id)
    return changed


def remove_nodes(
    tx: Tx,
    ctx: Context,
    account: str,
    id: str,
    node_ids: Sequence[str],
    timeout: Micros | None,
    option: DeallocationOption | None,
    pre: Preconditions,
) -> Pool:
    """Remove these nodes (1 to 100) and lower the targets by as many, each kind by its own.

    Raises 400, 404 PoolNotFound or NodeNotFound (then nothing is removed), 409 PoolBeingDeleted or
    PoolBeingResized, 412.
    """
    if not 1 <= len(node_ids) <= REMOVE_NODES_MAX:
        raise bad_property("nodeList", f"{len(node_ids)} nodes", f"Name 1 to {REMOVE_NODES_MAX} nodes.")
    pool = steady(get(tx, account, id), pre)
    found: dict[str, Node] = {}
    for node_id in node_ids:
        node = tx.nodes.get(pool.account, pool.id, node_id)
        if node is None:
            raise not_found("node", node_id)
        found[node.id] = node
    dedicated = sum(node.dedicated for node in found.values())
    targets = (
        max(0, pool.target_dedicated - dedicated),
        max(0, pool.target_low_priority - (len(found) - dedicated)),
    )
    return _start_resize(tx, ctx, pool, targets, timeout, option, tuple(found))


def _check_active(pool: Pool) -> None:
    if pool.state is PoolState.DELETING:
        raise ServiceError("PoolBeingDeleted")


def changeable(tx: Tx, account: str, id: str, pre: Preconditions) -> Pool:
    """The pool, if it may be changed. Raises 404 PoolNotFound, 409 PoolBeingDeleted, 412."""
    pool = get(tx, account, id)
    pre.check_write(pool.modified_at)
    _check_active(pool)
    return pool


def steady(pool: Pool, pre: Preconditions) -> Pool:
    """The pool, if it may be changed and is not resized. Raises 409 PoolBeingDeleted or PoolBeingResized, 412."""
    pre.check_write(pool.modified_at)
    _check_active(pool)
    if pool.allocation is not AllocationState.STEADY:
        raise ServiceError("PoolBeingResized", None, (("AllocationState", pool.allocation.value),))
    return pool


def _start_resize(
    tx: Tx,
    ctx: Context,
    pool: Pool,
    targets: tuple[int, int],
    timeout: Micros | None,
    option: DeallocationOption | None,
    remove: tuple[str, ...],
) -> Pool:
    timeout = RESIZE_TIMEOUT_DEFAULT if timeout is None else timeout
    pool_rules.check_timeout(timeout)
    resizing = advance(f"pool {pool.id}", ALLOCATION, pool.allocation, AllocationState.RESIZING)
    option = option or DeallocationOption.REQUEUE
    grows = sum(targets) > sum(pool_events.nodes(tx.nodes.counts(pool.account, pool.id)))
    started = replace(
        pool,
        allocation=resizing,
        allocation_at=ctx.now,
        modified_at=next_modified(ctx, pool.modified_at),
        target_dedicated=targets[0],
        target_low_priority=targets[1],
        resize=Resize(ctx.now, timeout, option, pool.resize.number + 1, remove, grows=grows),
        resize_errors=(),
    )
    changed = tx.pools.update(started)
    _resize_started(tx, ctx, changed)
    return changed


def _resize_started(tx: Tx, ctx: Context, pool: Pool, auto: bool = False) -> None:
    auto = auto or tx.auto_pools.get(pool.account, pool.id) is not None
    detail = pool_events.resize_started(pool, tx.nodes.counts(pool.account, pool.id), auto)
    record(tx, ctx, pool.account, f"pool/{pool.id}", "pool.resize.start", **detail)
    wake(tx, "pool", pool.account, pool.id)


def _bind(tx: Tx, pool: Pool, image: str | None) -> None:
    """Write down what the pool is made from; the row goes with the pool's."""
    if image is not None:
        tx.resources.link(Lineage(pool_key(pool.account, pool.id), image, "pool-of"))
