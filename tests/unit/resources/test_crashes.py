"""Whatever fails, and wherever the service is killed: after a restart things come to rest and nothing is left over."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from poolwright.commands import batch_accounts, groups, images, jobs, vm_actions
from poolwright.commands.resources import Accepted, Outline
from poolwright.domain.compute import DiskSpec, image_state, machine_state
from poolwright.domain.errors import ManagementError
from poolwright.domain.job import JobSpec
from poolwright.domain.resource_id import ACCOUNTS, DISKS, GROUPS, IMAGES, MACHINES, SNAPSHOTS, group_id
from poolwright.domain.states import JobState, PoolState, ResourceState
from poolwright.engines.base import EngineError, Machine, NoCapacity, Rejected, Transient
from poolwright.images.base import DiskBusy, ImagePlaneError, NoSpace
from poolwright.reconcile import resources as loop_module
from poolwright.wire.arm.operations import status as operation_status
from tests.support.waiting import wait_until_async
from tests.unit.resources.house import GROUP, KEYS, SUBSCRIPTION, House, at, open_house
from tests.unit.resources.pools import pool_of
from tests.unit.resources.test_story import frozen, prepared


class Killed(BaseException):
    """The service dies here."""


class Countdown:
    """Kills at the n-th point: before an act on a plane, after it, and after each write."""

    def __init__(self, at: int) -> None:
        self.left = at

    @property
    def spent(self) -> bool:
        return self.left <= 0

    def point(self) -> None:
        self.left -= 1
        if self.left == 0:
            raise Killed


def arm(house: House, countdown: Countdown) -> None:
    """Put a killing point around every act of the loop and after every write it makes."""
    actor = house.loop._actor
    for name in ("make", "remove", "inspect", "boot", "stop", "destroy"):
        setattr(actor, name, _fatal(getattr(actor, name), countdown))
    write = house.store.write

    async def killing_write(fn: object) -> object:
        result: object = await write(fn)  # type: ignore[arg-type]
        countdown.point()
        return result

    house.loop._store = _Written(house.store, killing_write)  # type: ignore[assignment]
    house.loop._scripts._store = house.loop._store


class _Written:
    def __init__(self, store: object, write: object) -> None:
        self._store = store
        self.write = write

    def __getattr__(self, name: str) -> object:
        return getattr(self._store, name)


def _fatal(call: Callable[..., Awaitable[object]], countdown: Countdown) -> Callable[..., Awaitable[object]]:
    async def around(*args: object) -> object:
        countdown.point()
        result = await call(*args)
        countdown.point()
        return result

    return around


Act = Callable[[House], Awaitable[None]]


async def run_with_kills(tmp_path: Path, prepare: Act, work: Act, check: Act) -> int:
    """Do the work once for each killing point: killed there, restarted, settled, checked. Returns the points."""
    for point in range(1, 400):
        house = open_house(_fresh(tmp_path, point))
        await house.group()
        await prepare(house)
        await work(house)
        countdown = Countdown(point)
        arm(house, countdown)
        try:
            await house.settle()
        except Killed:
            pass
        if not countdown.spent:
            await house.close()
            return point - 1
        await house.rebuild()
        await house.settle()
        await check(house)
        await no_leftovers(house)
        await house.close()
    raise AssertionError("the work never ended by itself")


def _fresh(tmp_path: Path, point: int) -> Path:
    directory = tmp_path / str(point)
    directory.mkdir()
    return directory


async def no_leftovers(house: House) -> None:
    """Planes and rows agree both ways, and everything is at rest."""
    assert await house.loop.collect() == []
    rows = await house.store.read(lambda tx: tx.resources.all_disks())
    assert {row.name for row in rows} == {info.name for info in house.images.list()}
    assert all(row.state == "ready" for row in rows), rows
    owners = {row.owner for row in rows}
    for owner in owners:
        resource = await house.store.read(lambda tx, key=owner: tx.resources.get(key))  # type: ignore[misc]
        assert resource is not None
        assert resource.state is ResourceState.SUCCEEDED
    assert await house.store.read(lambda tx: tx.resources.operations_in_progress()) == []


async def nothing(house: House) -> None:
    return None


async def test_killed_while_making_a_machine(tmp_path: Path) -> None:
    async def work(house: House) -> None:
        await house.machine()

    async def check(house: House) -> None:
        state = machine_state((await house.get(MACHINES, "builder")).inner)
        assert state.power == "running"
        assert list(house.engine.held) == [state.machine]

    assert await run_with_kills(tmp_path, nothing, work, check) >= 10


async def test_killed_while_freezing(tmp_path: Path) -> None:
    async def work(house: House) -> None:
        await house.snapshot("snap-os", "system")
        await house.snapshot("snap-data", "scratch")

    async def check(house: House) -> None:
        for name in ("snap-os", "snap-data"):
            assert (await house.get(SNAPSHOTS, name)).state is ResourceState.SUCCEEDED

    assert await run_with_kills(tmp_path, prepared, work, check) >= 8


async def test_killed_while_making_an_image(tmp_path: Path) -> None:
    async def prepare(house: House) -> None:
        await prepared(house)
        await house.snapshot("snap-os", "system")
        await house.snapshot("snap-data", "scratch")
        await house.settle()

    async def work(house: House) -> None:
        await house.image("golden", "snap-os", (7, "snap-data"))

    async def check(house: House) -> None:
        image = await house.get(IMAGES, "golden")
        state = image_state(image.inner)
        assert image.state is ResourceState.SUCCEEDED
        assert (state.agent_sku, len(state.data_disks)) == ("batch.node.debian 12", 1)

    assert await run_with_kills(tmp_path, prepare, work, check) >= 10


async def test_killed_while_deallocating(tmp_path: Path) -> None:
    async def prepare(house: House) -> None:
        await house.machine()
        await house.settle()

    async def work(house: House) -> None:
        await house.power("deallocate")

    async def check(house: House) -> None:
        assert machine_state((await house.get(MACHINES, "builder")).inner).power == "deallocated"
        assert house.engine.held == {}

    assert await run_with_kills(tmp_path, prepare, work, check) >= 3


async def test_killed_while_deleting_a_group(tmp_path: Path) -> None:
    async def prepare(house: House) -> None:
        await prepared(house)
        await house.snapshot("snap-os", "system")
        await house.settle()

    async def work(house: House) -> None:
        await house.write(lambda tx, ctx: groups.delete(tx, ctx, SUBSCRIPTION, GROUP))

    async def check(house: House) -> None:
        assert await house.find(GROUPS, GROUP) is None
        assert house.images.list() == ()
        assert (house.engine.held, house.engine.stored) == ({}, set())

    assert await run_with_kills(tmp_path, prepare, work, check) >= 15


async def test_killed_while_a_script_runs(tmp_path: Path) -> None:
    """However it is killed, the script is run at most once, and the caller is told the truth."""
    ends: set[str] = set()
    for point in range(1, 50):
        house = open_house(_fresh(tmp_path, point))
        await house.group()
        await house.machine()
        await house.settle()
        asked = await house.script("format everything")
        countdown = Countdown(point)
        arm(house, countdown)
        try:
            await house.settle()
            await asyncio.gather(*house.loop._scripts._tasks.values())
        except Killed:
            pass
        spent = countdown.spent
        await house.rebuild()
        await house.settle()
        operation = await house.operation(asked)
        ends.add(operation.status if operation.error is None else operation.error[0])
        assert len(house.commander.ran) <= 1
        assert operation.status == "Failed" or len(house.commander.ran) == 1
        assert operation.request == b"{}"
        await house.close()
        if not spent:
            break
    assert ends == {"Succeeded", "RunCommandOutcomeUnknown"}


FATAL_IMAGES = [
    ("ensure_base", NoSpace("building", Path("/x")), "InsufficientStorage"),
    ("clone", NoSpace("cloning", Path("/x")), "InsufficientStorage"),
    ("create_empty", NoSpace("making", Path("/x")), "InsufficientStorage"),
    ("format_empty", NoSpace("formatting", Path("/x")), "InsufficientStorage"),
]


@pytest.mark.parametrize(("op", "error", "code"), FATAL_IMAGES)
@pytest.mark.parametrize("after", [False, True])
async def test_a_machine_that_cannot_be_made_leaves_nothing(
    house: House, op: str, error: ImagePlaneError, code: str, after: bool
) -> None:
    house.images.fail_next(op, error, after=after)
    made = await house.machine()
    await house.settle()
    machine = await house.get(MACHINES, "builder")
    assert machine.state is ResourceState.FAILED
    assert machine.error is not None
    assert machine.error[0] == code
    assert (await house.operation(made)).error == machine.error
    await no_leftovers(house)
    assert house.images.list() == ()
    assert await house.find(DISKS, "system") is None
    # And it can be made again under the same name.
    await house.machine()
    await house.settle()
    assert (await house.get(MACHINES, "builder")).state is ResourceState.SUCCEEDED
    await no_leftovers(house)


@pytest.mark.parametrize("after", [False, True])
async def test_a_rejected_machine_leaves_nothing(house: House, after: bool) -> None:
    house.engine.fail_next("create", Rejected("the kernel lacks overlay"), after=after)
    await house.machine()
    await house.settle()
    machine = await house.get(MACHINES, "builder")
    assert machine.error == ("VMStartRejected", "the kernel lacks overlay")
    assert (house.engine.held, house.engine.stored) == ({}, set())
    await no_leftovers(house)


@pytest.mark.parametrize(
    "error",
    [Transient("no answer"), NoCapacity("full"), EngineError("odd")],
    ids=["transient", "full", "other"],
)
@pytest.mark.parametrize("op", ["create", "machines", "delete"])
@pytest.mark.parametrize("after", [False, True])
async def test_passing_faults_of_the_engine_pass(
    house: House, error: EngineError, op: str, after: bool
) -> None:
    await house.machine()
    house.engine.fail_next(op, error, after=after)
    await house.settle()
    await house.power("deallocate")
    await house.settle()
    assert machine_state((await house.get(MACHINES, "builder")).inner).power == "deallocated"
    await house.delete(MACHINES, "builder")
    await house.settle()
    assert await house.find(MACHINES, "builder") is None
    assert house.engine.stored == set()
    await no_leftovers(house)


async def test_a_busy_disk_is_tried_again(house: House) -> None:
    await prepared(house)
    house.images.fail_next("snapshot", DiskBusy("d-1", "being read"))
    await house.snapshot("snap-os", "system")
    await house.settle()
    assert (await house.get(SNAPSHOTS, "snap-os")).state is ResourceState.SUCCEEDED


async def test_an_engine_that_stays_full_is_given_up(house: House) -> None:
    for _ in range(loop_module._TRIES_MAX):
        house.engine.fail_next("create", NoCapacity("no memory left"))
    await house.machine()
    await house.settle()
    machine = await house.get(MACHINES, "builder")
    assert machine.error == ("AllocationFailed", "no memory left")
    await no_leftovers(house)


async def test_a_broken_machine_fails_its_creation(house: House) -> None:
    house.engine.born = "broken"
    await house.machine()
    await house.settle()
    machine = await house.get(MACHINES, "builder")
    assert machine.error is not None
    assert machine.error[0] == "VMStartFailed"
    assert house.engine.held == {}
    await no_leftovers(house)


async def test_an_image_whose_second_disk_fails_leaves_nothing(house: House) -> None:
    await prepared(house)
    await house.snapshot("snap-os", "system")
    await house.snapshot("snap-data", "scratch")
    await house.settle()
    snapshot = house.images.snapshot

    def second_fails(source: str, name: str) -> object:
        if name.endswith("lun7"):
            raise NoSpace("freezing", Path("/x"))
        return snapshot(source, name)

    house.images.snapshot = second_fails
    made = await house.image("golden", "snap-os", (7, "snap-data"))
    await house.settle()
    assert (await house.operation(made)).error is not None
    await no_leftovers(house)
    assert not [info.name for info in house.images.list() if info.name.startswith("i-")]


async def test_the_collector_removes_what_nobody_owns(house: House) -> None:
    await house.machine()
    await house.settle()
    house.images.create_empty("d-stray", 1024**2)
    house.engine.held["vm-stray"] = Machine("vm-stray", 1, "vm", "running")
    house.engine.held["tvm-1"] = Machine("tvm-1", 1, "node", "running")
    found = await house.loop.collect()
    assert len(found) == 2
    assert "d-stray" not in {info.name for info in house.images.list()}
    assert set(house.engine.held) == {house.engine.requests[0].name, "tvm-1"}  # nodes are not ours
    assert await house.loop.collect() == []


async def test_a_file_that_disappeared_is_told(house: House) -> None:
    await prepared(house)
    await house.snapshot("snap-os", "system")
    await house.settle()
    (row,) = await house.store.read(lambda tx: tx.resources.disks_of(at(SNAPSHOTS, "snap-os").key))
    house.images.delete(row.name)
    assert len(await house.loop.collect()) == 1
    lost = await house.get(SNAPSHOTS, "snap-os")
    assert lost.state is ResourceState.FAILED
    with pytest.raises(ManagementError, match="Failed"):
        await house.image("golden", "snap-os")


async def test_deleting_a_machine_ends_its_script(house: House) -> None:
    house.commander.gate = asyncio.Event()
    await house.machine()
    await house.settle()
    asked = await house.script("sleep 1000")
    await house.loop.run_key(at(MACHINES, "builder").key)
    await house.delete(MACHINES, "builder")
    await house.settle()
    assert (await house.operation(asked)).status == "Canceled"


async def test_a_second_script_waits_its_turn(house: House) -> None:
    house.commander.gate = asyncio.Event()
    await house.machine()
    await house.settle()
    await house.script("one")
    with pytest.raises(ManagementError, match="in progress"):
        await house.script("two")


async def test_deallocating_ends_a_running_script(house: House) -> None:
    house.commander.gate = asyncio.Event()
    await house.machine()
    await house.settle()
    asked = await house.script("sleep 1000")
    await house.loop.run_key(at(MACHINES, "builder").key)
    await house.power("deallocate")
    await house.settle()
    ended = await house.operation(asked)
    assert (ended.status, ended.error and ended.error[0]) == ("Failed", "RunCommandOutcomeUnknown")
    assert len(house.commander.ran) == 1


async def test_an_account_goes_with_its_group(house: House) -> None:
    put = lambda tx, ctx: batch_accounts.put(tx, ctx, at(ACCOUNTS, "render1"), Outline("local"), KEYS)  # noqa: E731
    made: Accepted = await house.write(put)
    assert made.created
    await house.write(lambda tx, ctx: groups.delete(tx, ctx, SUBSCRIPTION, GROUP))
    await house.settle()
    assert await house.store.read(lambda tx: tx.accounts.get("render1")) is None
    assert await house.store.read(lambda tx: tx.resources.get(group_id(SUBSCRIPTION, GROUP).key)) is None


async def test_an_account_waits_for_its_pools_and_jobs(house: House) -> None:
    id = at(ACCOUNTS, "render1")
    await house.write(lambda tx, ctx: batch_accounts.put(tx, ctx, id, Outline("local"), KEYS))
    await house.store.write(lambda tx: tx.pools.insert(pool_of(at(IMAGES, "golden").text)))
    spec = JobSpec(pool="pool-1")
    await house.write(lambda tx, ctx: jobs.create(tx, ctx, "render1", "job-1", spec, b"{}"))
    gone = await house.write(lambda tx, ctx: batch_accounts.delete(tx, ctx, id))
    assert gone is not None
    await house.loop.pass_all()
    assert (await house.operation(gone)).status == "InProgress"
    with pytest.raises(ManagementError, match="being deleted"):
        await house.write(lambda tx, ctx: batch_accounts.put(tx, ctx, id, Outline("local"), KEYS))
    pool = await house.store.read(lambda tx: tx.pools.get("render1", "pool-1"))
    job = await house.store.read(lambda tx: tx.jobs.get("render1", "job-1"))
    assert pool is not None
    assert job is not None
    assert (pool.state, job.state) == (PoolState.DELETING, JobState.DELETING)
    # What the loops of pools and jobs do in the end:
    await house.store.write(lambda tx: tx.jobs.delete("render1", "job-1"))
    await house.store.write(lambda tx: tx.pools.delete("render1", "pool-1"))
    await house.settle()
    assert (await house.operation(gone)).status == "Succeeded"
    assert await house.find(ACCOUNTS, "render1") is None


async def test_a_forced_image_goes_although_pools_use_it(house: House) -> None:
    await frozen(house)
    await house.store.write(lambda tx: tx.pools.insert(pool_of(at(IMAGES, "golden").text)))
    with pytest.raises(ManagementError, match="render1/pool-1"):
        await house.delete(IMAGES, "golden")
    with pytest.raises(ManagementError, match="render1/pool-1"):
        await house.write(lambda tx, ctx: groups.delete(tx, ctx, SUBSCRIPTION, GROUP))
    await house.write(lambda tx, ctx: images.delete(tx, ctx, at(IMAGES, "golden"), force=True))
    await house.settle()
    assert await house.find(IMAGES, "golden") is None


async def test_a_stopped_machine_keeps_its_name_when_generalized_twice(house: House) -> None:
    await prepared(house)
    again = await house.write(lambda tx, ctx: vm_actions.generalize(tx, ctx, at(MACHINES, "builder")))
    assert machine_state(again.inner).generalized


async def test_a_repeated_put_joins_the_creation_under_way(house: House) -> None:
    first = await house.machine()
    again = await house.machine()
    assert again.created
    assert again.operation == first.operation
    await house.settle()
    assert len(house.engine.requests) == 1
    stop = await house.power("deallocate")
    assert (await house.power("deallocate")).operation == stop.operation
    with pytest.raises(ManagementError, match="in progress"):
        await house.power("start")
    await house.settle()
    copy = await house.snapshot("snap-os", "system")
    assert (await house.snapshot("snap-os", "system")).operation == copy.operation
    await house.settle()
    await no_leftovers(house)


async def test_slow_image_work_holds_nobody_up(house: House) -> None:
    """A copy that takes minutes goes on beside its caller, is started once, and others are served meanwhile."""
    await prepared(house)
    gate = threading.Event()
    calls: list[str] = []
    snapshot = house.images.snapshot

    def slow(source: str, name: str) -> object:
        calls.append(name)
        assert gate.wait(20)
        return snapshot(source, name)

    house.images.snapshot = slow
    await house.snapshot("snap-os", "system")
    key = at(SNAPSHOTS, "snap-os").key
    await house.loop.run_key(key)
    await house.loop.run_key(key)
    await house.loop.pass_all()
    assert (await house.get(SNAPSHOTS, "snap-os")).state is ResourceState.CREATING
    assert len(calls) == 1
    await house.disk("other", DiskSpec("Empty", size_gib=1))
    await wait_until_async(lambda: served(house, DISKS, "other"), 10, "the other disk was not served")
    gate.set()
    await wait_until_async(lambda: served(house, SNAPSHOTS, "snap-os"), 10, "the snapshot was not served")
    assert len(calls) == 1


async def served(house: House, type: str, name: str) -> bool:
    await house.loop.run_key(at(type, name).key)
    return (await house.get(type, name)).state is ResourceState.SUCCEEDED


async def test_a_passing_fault_is_tried_again_unasked(house: House) -> None:
    await prepared(house)
    house.images.fail_next("snapshot", DiskBusy("d-1", "being read"))
    await house.snapshot("snap-os", "system")
    await house.loop.run_key(at(SNAPSHOTS, "snap-os").key)

    async def done() -> bool:
        return (await house.get(SNAPSHOTS, "snap-os")).state is ResourceState.SUCCEEDED

    await wait_until_async(done, 10, "the snapshot was not tried again")


async def test_the_machines_operation_tells_how_far_the_base_image_is(house: House) -> None:
    gate = threading.Event()
    ensure = house.images.ensure_base

    def slow(image: object, progress: Callable[[str, float], None]) -> object:
        progress("unpacking packages", 0.4)
        assert gate.wait(20)
        return ensure(image, progress)

    house.images.ensure_base = slow
    made = await house.machine()
    await house.loop.pass_all()

    async def told() -> bool:
        return (await house.operation(made)).result is not None

    await wait_until_async(told, 10, "no progress was written")
    answer = operation_status(await house.operation(made))
    assert (answer["percentComplete"], answer["properties"]) == (40.0, {"progress": "unpacking packages"})
    gate.set()
    await house.settle()
    assert "percentComplete" not in operation_status(await house.operation(made))
