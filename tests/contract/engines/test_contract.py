"""What every engine promises, on the fake one and on real sandbox machines."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from poolwright.engines.base import Engine, Machine, MachineRequest, NotFound, Rejected
from poolwright.engines.fake import FakeEngine, FakeFleet
from tests.contract.engines.conftest import why_not
from tests.contract.engines.rig import Rig, make_image, node


@dataclass
class Subject:
    """An engine under test and an image it can use."""

    engine: Engine
    image: Path

    async def make(self, *requests: MachineRequest) -> list[Machine]:
        outcomes = await self.engine.create(requests)
        assert len(outcomes) == len(requests)
        made = [outcome for outcome in outcomes if isinstance(outcome, Machine)]
        assert len(made) == len(outcomes), outcomes
        return made

    async def names(self) -> dict[str, str]:
        return {machine.name: machine.state for machine in await self.engine.machines()}


async def _no_pause(_: int) -> None:
    return None


@pytest.fixture(params=["fake", pytest.param("sandbox", marks=pytest.mark.needs_root)])
async def subject(
    request: pytest.FixtureRequest, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Subject]:
    """Each engine in turn."""
    if request.param == "fake":
        yield Subject(FakeEngine(FakeFleet(lambda: 0, random.Random(1)), _no_pause), Path("/image"))
        return
    reason = why_not()
    if reason is not None:
        pytest.skip(reason)
    (tmp_path / "image").mkdir()
    rig = Rig(tmp_path / "data")
    try:
        await rig.start()
        yield Subject(rig.engine, make_image(tmp_path / "image"))
    finally:
        await rig.close()


async def test_it_says_what_it_can(subject: Subject) -> None:
    capabilities = await subject.engine.capabilities()
    assert capabilities.usable
    assert "linux" in capabilities.runs_os
    assert subject.engine.name in ("fake", "sandbox")


async def test_create_is_idempotent(subject: Subject) -> None:
    (first,) = await subject.make(node("n1", subject.image))
    (second,) = await subject.make(node("n1", subject.image))
    assert first == second
    assert (first.name, first.fence, first.kind, first.state) == ("n1", 1, "node", "running")
    assert await subject.names() == {"n1": "running"}


async def test_one_call_may_name_a_machine_twice(subject: Subject) -> None:
    request = node("n1", subject.image)
    first, second = await subject.make(request, request)
    assert first == second
    assert await subject.names() == {"n1": "running"}


async def test_fences_only_grow(subject: Subject) -> None:
    await subject.make(node("n1", subject.image, fence=5))
    (stale,) = await subject.engine.create([node("n1", subject.image, fence=4)])
    assert isinstance(stale, Rejected)
    (newer,) = await subject.make(node("n1", subject.image, fence=6))
    assert newer.fence == 6
    assert [(m.name, m.fence) for m in await subject.engine.machines()] == [("n1", 6)]


async def test_delete_ends_in_not_found(subject: Subject) -> None:
    await subject.make(node("n1", subject.image), node("n2", subject.image))
    first = await subject.engine.delete(["n1", "never"])
    assert first[0] is None
    assert isinstance(first[1], NotFound)
    (again,) = await subject.engine.delete(["n1"])
    assert isinstance(again, NotFound)
    assert await subject.names() == {"n2": "running"}


async def test_kept_storage_is_a_stopped_machine(subject: Subject) -> None:
    await subject.make(node("n1", subject.image))
    assert await subject.engine.delete(["n1"], keep_storage=True) == [None]
    assert await subject.names() == {"n1": "stopped"}
    assert await subject.engine.delete(["n1"], keep_storage=True) == [None]
    (back,) = await subject.make(node("n1", subject.image, fence=2))
    assert (back.fence, back.state) == (2, "running")
    assert await subject.engine.delete(["n1"], keep_storage=True) == [None]
    assert await subject.engine.delete(["n1"]) == [None]
    assert await subject.names() == {}


async def test_a_batch_of_twenty(subject: Subject) -> None:
    names = [f"n{number:02}" for number in range(20)]
    made = await subject.make(*(node(name, subject.image) for name in names))
    assert [machine.name for machine in made] == names
    addresses = {machine.address for machine in made if machine.address is not None}
    assert len(addresses) in (0, 20)
    assert sorted(await subject.names()) == names
    assert await subject.engine.delete(names) == [None] * 20
    assert await subject.names() == {}


async def test_bad_requests_leave_no_trace(subject: Subject) -> None:
    good = node("good", subject.image)
    outcomes = await subject.engine.create([replace(good, name="bad", os_disk=""), good])
    assert isinstance(outcomes[0], Rejected)
    assert isinstance(outcomes[1], Machine)
    assert await subject.names() == {"good": "running"}
