"""Wherever the service is killed: after a restart things come to rest and nothing is left over."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

from poolwright.commands import groups
from poolwright.domain.compute import image_state, machine_state
from poolwright.domain.resource_id import GROUPS, IMAGES, MACHINES, SNAPSHOTS
from poolwright.domain.states import ResourceState
from tests.unit.resources.house import GROUP, SUBSCRIPTION, House, open_house
from tests.unit.resources.settled import no_leftovers
from tests.unit.resources.test_story import prepared


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
