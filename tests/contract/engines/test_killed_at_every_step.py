"""A host agent or a builder killed before any step of making and removing machines leaves nothing behind.

The story is a node's whole life: made, stopped with its storage kept, made again, removed. Each kill is followed by
what the service does then: a new host agent is started, the machine is asked for again, and removed.
"""

# ruff: noqa: ASYNC220 - nothing else runs in a test that could be held up

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from poolwright.engines.base import DiskMount, EngineError, Machine, MachineRequest, OwnDisk, Transient
from poolwright.engines.sandbox.host import loopdev
from tests.contract.engines.rig import Rig, node
from tests.support.leaks import cgroups

pytestmark = [pytest.mark.needs_root, pytest.mark.slow]

ROOT = Path(__file__).parents[3]
NAME = "n"
PARTS = 4
"""The steps are dealt out to so many tests, so that workers share them."""
MORE_STEPS_THAN = 100
"""A life takes more steps than this; fewer would mean that they are not seen."""

Point = tuple[str, str, int]
"""Victim, role and number of the step before which it is killed."""


class Stage:
    """One data directory with a host agent that may be killed."""

    def __init__(self, folder: Path, image: Path) -> None:
        self.folder = folder
        self.image = image
        self.log = folder / "steps"
        self.elsewhere = folder / "elsewhere"
        self.elsewhere.mkdir()
        self.rig = Rig(folder / "data")
        self.tag = hashlib.sha256(os.path.realpath(self.rig.data_dir).encode()).hexdigest()[:8]
        self.doomed: subprocess.Popen[bytes] | None = None

    def request(self, fence: int) -> MachineRequest:
        """The node of the story, with a thin data disk, and one of its own in another directory."""
        disks = (DiskMount(3, str(self.image.parent / "data.raw")),)
        own = (OwnDisk(5, 16 << 20, str(self.elsewhere)),)
        return node(NAME, self.image, fence=fence, data_disks=disks, own_disks=own)

    async def play(self, point: Point) -> None:
        """The story with a kill in it; what the calls answer then is not the question here."""
        victim, role, number = point
        self.log.unlink(missing_ok=True)
        arguments = [str(self.log), victim, role, str(number), "--data-dir", str(self.rig.data_dir)]
        command = [sys.executable, "-m", "tests.contract.engines.killed_host", *arguments, "--grace-s", "60"]
        (self.rig.data_dir / "log").mkdir(exist_ok=True)
        with (self.rig.data_dir / "log" / "agent.log").open("ab") as output:
            # As the service starts it: machines must not bear the mark of the test run, which other tests look for.
            clean = {"PATH": os.environ.get("PATH", os.defpath), "LANG": "C.UTF-8"}
            self.doomed = subprocess.Popen(command, cwd=ROOT, env=clean, stdout=output, stderr=output)
        if await self._connected():
            with contextlib.suppress(Transient):
                await self._life()
        self.doomed.terminate()  # which has steps of its own
        self.doomed.wait(30)

    async def _connected(self) -> bool:
        assert self.doomed is not None
        while self.doomed.poll() is None:
            with contextlib.suppress(TimeoutError, Transient):
                await self.rig.hub.wait_connected(0.05)
                return True
        return False

    async def _life(self) -> None:
        engine = self.rig.engine
        await engine.create([self.request(1)])
        await engine.delete([NAME], keep_storage=True)
        await engine.create([self.request(2)])
        await engine.delete([NAME])

    async def recover(self) -> None:
        """A new host agent, the machine once more, and its end."""
        engine = self.rig.engine
        await self._start()
        made: Machine | EngineError = (await engine.create([self.request(3)]))[0]
        assert isinstance(made, Machine), made
        assert (made.state, made.fence) == ("running", 3)
        assert [machine.name for machine in await engine.machines()] == [NAME]
        check = "sh -c 'test $(stat -c %u:%g:%a / /mnt/disks/lun3 | tr \\\\n ,) = 0:0:755,0:0:755,'"
        assert (await self.rig.run(NAME, f"e{id(made)}", check, fence=3)).get("exit_code") == 0, "owners"
        assert await engine.delete([NAME]) == [None]
        assert await engine.machines() == []
        await self.rig.agent.stop()
        await self.rig.until(lambda: not self.rig.hub.connected, "the end of the connection")
        await self.rig.until(lambda: not list(self.left()), f"an empty host: {list(self.left())}")

    async def _start(self) -> None:
        """A host agent, tried again as the service does: a dying helper may hold the lock for a moment."""
        await self.rig.until(lambda: not self.rig.hub.connected, "the end of the old connection")

        def connected() -> bool:
            self.rig.agent.start(again=False)
            return self.rig.hub.connected

        await self.rig.until(connected, "a host agent's greeting")

    def steps(self) -> list[tuple[str, int, str]]:
        """What was about to be done, by role."""
        lines = (line.split(" ", 2) for line in self.log.read_text().splitlines())
        return [(role, int(number), name) for role, number, name in lines]

    def left(self) -> Iterator[str]:
        """Whatever is on the host that belongs to this data directory and should not be."""
        data = self.rig.data_dir
        yield from (f"file {path}" for path in (data / "nodes").glob("*") if path.name != ".trash")
        yield from (f"file {path}" for path in (data / "nodes" / ".trash").glob("*"))
        yield from (f"file {path}" for path in self.elsewhere.iterdir())
        yield from (f"socket {path}" for path in (data / "run" / "m").glob("*"))
        yield from (f"loop device {user}" for user in loopdev.users_of(str(self.image)))
        yield from (f"loop device {user}" for user in loopdev.users_of(str(self.image.parent / "data.raw")))
        yield from (f"link {name}" for name in Path("/sys/class/net").glob(f"*{self.tag}*"))
        yield from (f"control group {found}" for found in cgroups() if self.tag in found)
        tables = subprocess.run(["nft", "list", "tables"], capture_output=True, text=True, check=True).stdout
        yield from (f"packet filter {line}" for line in tables.splitlines() if self.tag in line)
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                inside = [str((process / name).readlink()) for name in ("cwd", "root")]
                if any(place.startswith(str(data)) for place in inside):
                    yield f"process {process.name} {(process / 'cmdline').read_bytes()[:80]!r}"
        with contextlib.suppress(OSError):
            mounts = Path("/proc/self/mountinfo").read_text()
            yield from (f"mount {line}" for line in mounts.splitlines() if str(data) in line)

    async def close(self) -> None:
        """End everything, also after a failed test."""
        if self.doomed is not None and self.doomed.poll() is None:
            self.doomed.kill()
            self.doomed.wait(30)
        with contextlib.suppress(AssertionError):
            await self._start()
        await self.rig.close()


def points(steps: list[tuple[str, int, str]]) -> list[Point]:
    """The host agent before each of its own steps; before each step of its helpers both, and in turn one of them."""
    seen = dict.fromkeys((role, number) for role, number, _ in steps)
    found: list[Point] = []
    for role, number in seen:
        if role in ("builder", "first"):
            found += [("both", role, number), ("self" if number % 2 else "agent", role, number)]
        else:
            found.append(("agent", role, number))
    return found


@pytest.mark.parametrize("part", range(PARTS))
async def test_killed_at_every_step(part: int, tmp_path: Path, image: Path) -> None:
    stage = Stage(tmp_path, image)
    try:
        await stage.rig.hub.start()
        await stage.play(("agent", "agent", 0))
        await stage.recover()
        every = points(stage.steps())
        assert len(every) > MORE_STEPS_THAN, every
        for point in every[part::PARTS]:
            await stage.play(point)
            names = {(role, number): name for role, number, name in stage.steps()}
            try:
                async with asyncio.timeout(60):
                    await stage.recover()
            except Exception as failure:
                log = (stage.rig.data_dir / "log" / "agent.log").read_text()[-2000:]
                raise AssertionError(f"{point} before {names.get(point[1:])}: {failure}\n{log}") from failure
    finally:
        await stage.close()
