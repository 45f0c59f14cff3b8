"""Accounts, pools, nodes, jobs, resources and facts: what goes in comes out, found by any case, in order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from poolwright.domain.account import ServicePrincipal
from poolwright.domain.certificate import CertificateReference
from poolwright.domain.clock import MINUTE
from poolwright.domain.facts import Fact
from poolwright.domain.job import JobSpec
from poolwright.domain.network import FrontPort
from poolwright.domain.node import Drain, Failure, Logins, Node, NodeError, NodeUser, StartTaskInfo
from poolwright.domain.package import InstalledPackage, NodePackages
from poolwright.domain.pool import ImageReference, Pool, ResizeError, StartTask
from poolwright.domain.resource import DiskRow, Lineage, Operation, Resource, pool_key
from poolwright.domain.states import (
    AllocationState,
    DeallocationOption,
    ExecutionResult,
    JobState,
    NodeState,
    ResourceState,
    StartTaskState,
)
from poolwright.store.base import Duplicate, Stale, Store, StoreError, Tx
from tests.contract.store.values import IMAGE, A, account, job, node, pool, put, resource


async def test_accounts_principals_and_settings(store: Store) -> None:
    def fill(tx: Tx) -> None:
        tx.accounts.insert(account("b"))
        tx.accounts.insert(account("a"))
        tx.accounts.put_principal(
            ServicePrincipal("C-1", "o", "n", "h", frozenset({"reader", "contributor"}))
        )
        tx.accounts.put_setting("s", "1")
        tx.accounts.put_setting("s", "2")
        tx.accounts.update(replace(account("b"), primary_key="new"))

    await store.write(fill)
    assert [item.name for item in await store.read(lambda tx: tx.accounts.all())] == ["a", "b"]
    assert await store.read(lambda tx: tx.accounts.get("B")) == replace(account("b"), primary_key="new")
    principal = await store.read(lambda tx: tx.accounts.principal("c-1"))
    assert principal == ServicePrincipal("C-1", "o", "n", "h", frozenset({"reader", "contributor"}))
    assert await store.read(lambda tx: (tx.accounts.setting("s"), tx.accounts.setting("t"))) == ("2", None)
    with pytest.raises(Duplicate):
        await store.write(lambda tx: tx.accounts.insert(account("A")))
    await store.write(lambda tx: tx.accounts.delete("A"))
    assert await store.read(lambda tx: tx.accounts.get("a")) is None
    with pytest.raises(Stale):
        await store.write(lambda tx: tx.accounts.update(account("a")))


FULL_POOL = replace(
    pool("Full", IMAGE),
    allocation=AllocationState.RESIZING,
    resize_errors=(ResizeError("AllocationFailed", "no", (("k", "v"),)),),
    spec=replace(
        pool("Full", IMAGE).spec, start_task=StartTask("/bin/sh -c x", (("A", "b"),)), inter_node=True
    ),
)


async def test_a_pool_comes_back_as_it_was(store: Store) -> None:
    await store.write(lambda tx: tx.pools.insert(FULL_POOL))
    assert await store.read(lambda tx: tx.pools.get(A, "fULL")) == FULL_POOL
    assert await store.read(lambda tx: tx.pools.get("other", "Full")) is None
    with pytest.raises(Duplicate):
        await store.write(lambda tx: tx.pools.insert(replace(pool(), id="FULL")))


async def test_a_pool_is_changed_by_whoever_read_it_last(store: Store) -> None:
    await store.write(lambda tx: tx.pools.insert(pool()))

    def change(tx: Tx) -> Pool:
        read = tx.pools.get(A, "Pool-1")
        assert read is not None
        return tx.pools.update(replace(read, target_dedicated=9))

    first = await store.write(change)
    assert first.revision == 1
    assert await store.read(lambda tx: tx.pools.get(A, "Pool-1")) == first
    with pytest.raises(Stale):
        await store.write(lambda tx: tx.pools.update(pool()))
    with pytest.raises(StoreError):
        await store.write(lambda tx: tx.pools.update(replace(first, target_dedicated=-1)))
    assert await store.read(lambda tx: tx.pools.get(A, "Pool-1")) == first


def _page_of_pools(after: str | None) -> Callable[[Tx], list[Pool]]:
    return lambda tx: tx.pools.page(A, after, 2)


async def test_pools_page_in_order_of_lower_cased_id(store: Store) -> None:
    ids = ["b", "A", "c_1", "C-2", "B1"]
    await put(store, *(pool(id) for id in ids))
    await store.write(lambda tx: tx.pools.insert(pool("zz", account="other")))
    pages, after = [], None
    while page := await store.read(_page_of_pools(after)):
        pages.append([item.id for item in page])
        after = page[-1].id
    assert pages == [["A", "b"], ["B1", "C-2"], ["c_1"]]
    assert await store.read(lambda tx: (tx.pools.count(A), len(tx.pools.every()))) == (5, 6)


async def test_pools_are_found_by_their_image_and_leave_no_lineage(store: Store) -> None:
    def fill(tx: Tx) -> None:
        tx.pools.insert(pool("p1", IMAGE))
        tx.pools.insert(pool("p2", IMAGE.upper(), account="other"))
        tx.pools.insert(pool("p3"))
        tx.resources.link(Lineage(pool_key(A, "P1"), IMAGE.lower(), "pool-of"))

    await store.write(fill)
    found = await store.read(lambda tx: tx.pools.with_image(IMAGE.lower()))
    assert [item.id for item in found] == ["p1", "p2"]
    await store.write(lambda tx: tx.pools.delete(A, "P1"))
    assert await store.read(lambda tx: tx.resources.children(IMAGE.lower())) == []

    def drop_image(tx: Tx) -> None:
        other = tx.pools.with_image(IMAGE)[0]
        tx.pools.update(replace(other, spec=replace(other.spec, image=ImageReference(publisher="x"))))

    await store.write(drop_image)
    assert await store.read(lambda tx: tx.pools.with_image(IMAGE)) == []


FULL_NODE = replace(
    node("Tvm-1"),
    booted_at=3,
    address="10.0.0.2",
    start_task=StartTaskInfo(
        StartTaskState.COMPLETED,
        1,
        2,
        3,
        4,
        Failure("usererror", "c", "m", (("k", "v"),)),
        ExecutionResult.FAILURE,
        1,
        2,
    ),
    errors=(NodeError("DiskFull", "m", (("k", "v"),)),),
    drain=Drain("remove", DeallocationOption.TASK_COMPLETION, 7),
    history=((1, "creating", "asked"),),
    notes=("no cgroup",),
    phases_ms={"fork": 1.5},
    logins=Logins((NodeUser("u", True, 8, "$6$hash", "ssh-rsa AA"),), 3, 2, 1, 9, "no server"),
    front_ports=(FrontPort("web", "tcp", 15000),),
    packages=NodePackages((InstalledPackage("a", "1", "d", True),), True),
    certificates=(CertificateReference("a" * 40, "localmachine", "CA", ("task",)),),
    image="/subscriptions/s/x",
    agent_version="1.0",
    agent_since=5,
    tasks_run=3,
)


async def test_a_node_comes_back_as_it_was(store: Store) -> None:
    await put(store, pool(), FULL_NODE)
    assert await store.read(lambda tx: tx.nodes.get(A, "POOL-1", "TVM-1")) == FULL_NODE
    assert await store.read(lambda tx: tx.nodes.by_machine(FULL_NODE.machine)) == FULL_NODE
    machines = await store.read(lambda tx: tx.nodes.machines())
    assert machines == {FULL_NODE.machine: (A, "Pool-1", "Tvm-1")}


async def test_nodes_are_inserted_all_or_none_into_a_pool(store: Store) -> None:
    with pytest.raises(StoreError):
        await store.write(lambda tx: tx.nodes.insert_many([node("n1")]))
    await store.write(lambda tx: tx.pools.insert(pool()))

    def caught(tx: Tx) -> None:
        tx.nodes.insert_many([node("n1")])
        with pytest.raises(Duplicate):
            tx.nodes.insert_many([node("n2"), replace(node("N1"), machine="other")])

    await store.write(caught)
    assert [n.id for n in await store.read(lambda tx: tx.nodes.of_pool(A, "pool-1"))] == ["n1"]
    with pytest.raises(StoreError):
        await store.write(lambda tx: tx.pools.delete(A, "Pool-1"))
    await store.write(lambda tx: tx.nodes.delete(A, "pool-1", "N1"))
    await store.write(lambda tx: tx.pools.delete(A, "pool-1"))
    assert await store.read(lambda tx: (tx.nodes.machines(), tx.pools.count(A))) == ({}, 0)


async def test_a_node_update_keeps_totals_and_the_last_word(store: Store) -> None:
    before = node("n1")
    await put(store, pool(), before)
    await store.write(lambda tx: tx.nodes.touch([before.machine, "gone"], 50))
    await store.write(lambda tx: tx.nodes.add_task_totals(A, "pool-1", {"N1": (3, 2), "gone": (1, 1)}))
    written = await store.write(
        lambda tx: tx.nodes.update(replace(before, state=NodeState.OFFLINE, seen_at=40))
    )
    read = await store.read(lambda tx: tx.nodes.get(A, "Pool-1", "n1"))
    assert read == replace(written, seen_at=50, tasks_run=3, tasks_succeeded=2)
    assert read is not None
    assert (read.state, read.revision) == (NodeState.OFFLINE, 1)
    with pytest.raises(Stale):
        await store.write(lambda tx: tx.nodes.update(before))


async def test_nodes_are_counted_and_paged(store: Store) -> None:
    nodes = [node(id, dedicated=id != "b") for id in ("c", "A", "b")]
    nodes[1] = replace(nodes[1], state=NodeState.STARTING)
    await put(store, pool(), *nodes)
    counts = await store.read(lambda tx: tx.nodes.counts(A, "POOL-1"))
    assert counts == {(NodeState.STARTING, True): 1, (NodeState.IDLE, False): 1, (NodeState.IDLE, True): 1}

    def page(after: str | None) -> Callable[[Tx], list[str]]:
        return lambda tx: [n.id for n in tx.nodes.page(A, "pool-1", after, 2)]

    assert await store.read(page(None)) == ["A", "b"]
    assert await store.read(page("B")) == ["c"]


async def test_a_job_comes_back_and_keeps_its_number(store: Store) -> None:
    full = replace(
        job("J", JobSpec("p", 3, 4, 5 * MINUTE, 6, "terminatejob", (("a", "b"),), "d")),
        previous_state=JobState.DISABLED,
        previous_at=5,
        ended_at=6,
        terminate_reason="r",
        disable_tasks="wait",
    )
    stored = await store.write(lambda tx: tx.jobs.insert(full))
    assert stored == replace(full, pk=stored.pk)
    assert await store.read(lambda tx: (tx.jobs.get(A, "j"), tx.jobs.by_pk(stored.pk))) == (stored, stored)
    with pytest.raises(Duplicate):
        await store.write(lambda tx: tx.jobs.insert(job("j")))
    await store.write(lambda tx: tx.jobs.delete(A, "J"))
    again = await store.write(lambda tx: tx.jobs.insert(full))
    assert again.pk > stored.pk
    changed = await store.write(lambda tx: tx.jobs.update(replace(again, state=JobState.COMPLETED)))
    assert changed.revision == 1
    with pytest.raises(Stale):
        await store.write(lambda tx: tx.jobs.update(again))


async def test_jobs_of_a_pool_in_order_of_priority(store: Store) -> None:
    def fill(tx: Tx) -> None:
        tx.jobs.insert(job("low", JobSpec("POOL-1", priority=-5)))
        tx.jobs.insert(replace(job("late", JobSpec("Pool-1", priority=5)), created_at=9))
        tx.jobs.insert(job("early", JobSpec("pool-1", priority=5)))
        tx.jobs.insert(job("off", JobSpec("Pool-1", priority=9), JobState.DISABLED))
        tx.jobs.insert(job("else", JobSpec("Pool-2")))
        tx.jobs.insert(job("done", JobSpec("Pool-1"), JobState.COMPLETED))
        tx.jobs.insert(job("going", JobSpec("Pool-1"), JobState.DELETING))

    await store.write(fill)
    both = frozenset({JobState.ACTIVE, JobState.DISABLED})
    found = await store.read(lambda tx: tx.jobs.of_pool(A, "pool-1", both))
    assert [item.id for item in found] == ["off", "early", "late", "low"]
    assert await store.read(lambda tx: tx.jobs.of_pool(A, "pool-1", frozenset())) == []
    assert await store.read(lambda tx: tx.jobs.count_active(A)) == 6
    assert [item.id for item in await store.read(lambda tx: tx.jobs.unsettled())] == ["going"]
    assert [j.id for j in await store.read(lambda tx: tx.jobs.page(A, "EARLY", 2))] == ["else", "going"]


async def test_jobs_that_are_due(store: Store) -> None:
    limited = JobSpec("p", max_wall_clock=10 * MINUTE)

    def fill(tx: Tx) -> None:
        tx.jobs.insert(job("plain"))
        tx.jobs.insert(job("limited", limited))
        tx.jobs.insert(job("ending", limited, JobState.TERMINATING))
        tx.jobs.insert(job("empty", JobSpec("p", on_all_tasks_complete="terminatejob")))

    await store.write(fill)
    over = 4 + 10 * MINUTE

    def names(now: int) -> Callable[[Tx], list[str]]:
        return lambda tx: [j.id for j in tx.jobs.due(now)]

    assert await store.read(names(over - 1)) == ["empty"]
    assert await store.read(names(over)) == ["limited", "empty"]


async def test_resources_are_found_by_any_case(store: Store) -> None:
    disk = resource("Disk")
    other = replace(resource("Vm", "Microsoft.Compute/virtualMachines"), error=("Code", "text"), sku="s")
    await put(store, disk, other)
    assert await store.read(lambda tx: tx.resources.get(disk.id.upper())) == disk

    def select(subscription: str, group: str | None, type: str | None) -> Callable[[Tx], list[Resource]]:
        return lambda tx: tx.resources.select(subscription, group, type)

    assert await store.read(select("sub", None, None)) == [disk, other]
    assert await store.read(select("SUB", "RG", "microsoft.compute/VIRTUALmachines")) == [other]
    assert await store.read(select("sub", "elsewhere", None)) == []
    with pytest.raises(Duplicate):
        await store.write(lambda tx: tx.resources.insert(replace(disk, id=disk.id.upper())))
    changed = await store.write(lambda tx: tx.resources.update(replace(disk, properties=b'{"a":1}')))
    with pytest.raises(Stale):
        await store.write(lambda tx: tx.resources.update(disk))
    assert await store.read(lambda tx: tx.resources.get(disk.id)) == changed
    await store.write(lambda tx: tx.resources.delete(disk.id.upper()))
    assert await store.read(lambda tx: tx.resources.get(disk.id)) is None


async def test_unsettled_resources_and_operations(store: Store) -> None:
    making = resource("making", state=ResourceState.CREATING)
    asked, quiet = resource("asked"), resource("quiet")
    running = Operation("op-1", asked.key, "runCommand", "InProgress", 3, request=b'{"a":1}')
    ended = Operation("op-2", quiet.key, "start", "Failed", 3, 4, b"{}", b"r", ("c", "m"), 2)

    def fill(tx: Tx) -> None:
        for item in (making, asked, quiet):
            tx.resources.insert(item)
        tx.resources.put_operation(running)
        tx.resources.put_operation(replace(ended, status="InProgress"))
        tx.resources.put_operation(ended)

    await store.write(fill)
    assert await store.read(lambda tx: tx.resources.unsettled()) == [asked, making]
    assert await store.read(lambda tx: tx.resources.operations_in_progress()) == [running]
    assert await store.read(lambda tx: tx.resources.operation("op-2")) == ended

    def prune(before: int) -> Callable[[Tx], int]:
        return lambda tx: tx.resources.prune_operations(before)

    assert await store.write(prune(4)) == 0
    assert await store.write(prune(5)) == 1
    assert await store.read(lambda tx: tx.resources.operation("op-2")) is None


async def test_lineage_and_disks(store: Store) -> None:
    edges = [Lineage("image", "snap-b", "image-of"), Lineage("image", "snap-a", "image-of")]
    disk = DiskRow("d-1", "owner", "data", "making")

    def fill(tx: Tx) -> None:
        for edge in (*edges, edges[0], Lineage("image2", "snap-a", "image-of")):
            tx.resources.link(edge)
        tx.resources.put_disk(disk)
        tx.resources.put_disk(replace(disk, state="ready", digest="sha", size_bytes=5))
        tx.resources.put_disk(replace(disk, name="d-0", owner="someone"))

    await store.write(fill)
    assert await store.read(lambda tx: tx.resources.parents("image")) == edges[::-1]
    assert [e.child for e in await store.read(lambda tx: tx.resources.children("snap-a"))] == [
        "image",
        "image2",
    ]
    ready = replace(disk, state="ready", digest="sha", size_bytes=5)
    assert await store.read(lambda tx: (tx.resources.disk("d-1"), tx.resources.disks_of("owner"))) == (
        ready,
        [ready],
    )
    assert [d.name for d in await store.read(lambda tx: tx.resources.all_disks())] == ["d-0", "d-1"]
    await store.write(lambda tx: tx.resources.unlink("image"))
    await store.write(lambda tx: tx.resources.drop_disk("d-1"))
    assert await store.read(lambda tx: (tx.resources.parents("image"), tx.resources.disk("d-1"))) == (
        [],
        None,
    )


async def test_the_journal_tells_the_newest_first_and_is_pruned(store: Store) -> None:
    facts = [Fact(at, "pool.resize", A, "pool/P1", {"n": at, "ok": True, "x": None}) for at in range(5)]
    await store.write(lambda tx: tx.journal.record([*facts, Fact(9, "k", "other", "pool/P1")]))
    assert await store.read(lambda tx: tx.journal.of_subject(A, "pool/p1", 2)) == [facts[4], facts[3]]
    assert await store.write(lambda tx: tx.journal.prune(3)) == 3
    assert await store.read(lambda tx: tx.journal.of_subject(A, "POOL/p1", 10)) == [facts[4], facts[3]]
    assert await store.write(lambda tx: tx.journal.prune(3)) == 0


def test_every_field_of_a_node_is_covered() -> None:
    plain = node("x")
    same = [name for name in Node.__slots__ if getattr(FULL_NODE, name) == getattr(plain, name)]
    assert set(same) <= {
        "account", "pool", "dedicated", "state", "state_at", "allocated_at", "fence", "scheduling", "seen_at",
        "attempts", "retry_at", "tasks_succeeded", "revision",
    }  # fmt: skip


async def test_the_journal_is_read_on_from_any_place_and_forgets_by_age(store: Store) -> None:
    kinds = ("task.start", "job.create", "task.fail", "pool.create")
    facts = [Fact(at, kind, A, "task/j/t") for at, kind in enumerate(kinds, 1)]
    await store.write(lambda tx: tx.journal.record([*facts, Fact(9, "task.start", "other", "task/j/t")]))
    first, last = await store.read(lambda tx: tx.journal.span())
    assert last - first == 4
    found = await store.read(lambda tx: tx.journal.after(first, last, 2, A))
    assert [(entry.number, entry.fact) for entry in found] == [(first + 1, facts[1]), (first + 2, facts[2])]
    tasks = await store.read(lambda tx: tx.journal.after(0, last, 10, A, ["task.*", "job.create"]))
    assert [entry.fact for entry in tasks] == facts[:3]
    assert len(await store.read(lambda tx: tx.journal.after(0, last, 10))) == 5
    common = await store.read(lambda tx: tx.journal.of_subject(A, "task/j/t", 9))
    assert [fact.kind for fact in common] == ["pool.create", "task.fail", "job.create"]
    assert await store.write(lambda tx: tx.journal.prune_old(100, 2)) == 2
    assert await store.write(lambda tx: tx.journal.prune_old(100, 1000)) == 2
    assert await store.read(lambda tx: tx.journal.span()) == (last, last)
    told = [(A, "job.create", 1), (A, "pool.create", 1), (A, "task.fail", 1), (A, "task.start", 1)]
    assert await store.read(lambda tx: tx.journal.totals()) == [*told, ("other", "task.start", 1)], (
        "what is forgotten stays counted"
    )
