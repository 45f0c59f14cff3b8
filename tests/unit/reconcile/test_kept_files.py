"""Which files are kept of a node that goes, and until when; and where they are kept."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from poolwright.domain.clock import DAY
from poolwright.domain.kept_files import KeptFile
from poolwright.domain.states import TaskState
from poolwright.reconcile import kept_files
from poolwright.reconcile.files import Directory
from poolwright.reconcile.kept_files import FileKeeper
from poolwright.reconcile.pools import life
from poolwright.serve.file_archive import ThreadedArchive
from poolwright.store.file_archive import ENTRY_BYTES, FileArchive
from tests.unit.reconcile.world import World, exited


class Machine:
    """A machine with task directories; one of them comes with each answer."""

    def __init__(self, tasks: Mapping[str, Sequence[KeptFile]]) -> None:
        self.tasks = tasks
        self.asked = 0

    async def directories(self, machine: str, path: str) -> Sequence[Directory]:
        names = {1: ["j"], 2: ["job-1"], 3: list(self.tasks)}[len(path.split("/"))]
        return [Directory(name, 1) for name in names]

    async def gather(self, machine: str, directories: Sequence[str]) -> Mapping[str, Sequence[KeptFile]]:
        self.asked += 1
        return {directories[0]: self.tasks[directories[0].rpartition("/")[2]]}

    async def remove(self, machine: str, path: str, changed_at: int | None) -> None:
        raise AssertionError(f"{path} is not ours to remove")


def text(name: str, content: bytes) -> KeptFile:
    return KeptFile(name, False, len(content), 1, 0o644, content)


def test_files_of_completed_tasks_are_kept_until_nobody_may_ask(tmp_path: Path) -> None:
    world = World(nodes=1, slots=3)
    world.add("a", "b", retention=7 * DAY)
    world.add("runs")
    starts = world.look().starts
    world.hear(
        *(exited(spec, end_us=world.clock.at) for spec in starts if spec.env["AZ_BATCH_TASK_ID"] != "runs")
    )
    assert world.task("runs").state is TaskState.RUNNING
    archive = ThreadedArchive(tmp_path / "archive.db", 1 << 20)
    machine = Machine({id: [text("stdout.txt", id.encode())] for id in ("a", "b", "runs", "deleted")})
    keeper = FileKeeper(world.store, machine, archive, world.clock)
    node = world.node("n0")
    asyncio.run(keeper.keep([life(node)]))
    asyncio.run(keeper.keep([life(node)]))
    assert machine.asked == 2, "what is kept is not read again"
    a, b = world.task("a").execution, world.task("b").execution
    assert archive.archive.page("", 10) == sorted([a, b])
    found = archive.archive.get(a, "stdout.txt")
    assert found is not None
    assert found.data == b"a"

    assert world.write(lambda tx: kept_files.over(tx, [a, b, "t9.1", "x"], world.clock.at)) == ["t9.1", "x"]
    world.write(lambda tx: tx.tasks.delete(world.task("a").pk))
    again = replace(world.task("b"), state=TaskState.ACTIVE, ended_at=None)
    assert world.write(lambda tx: kept_files.over(tx, [b], world.clock.at + 7 * DAY)) == [b]
    world.write(lambda tx: tx.tasks.update_many([again]))
    assert asyncio.run(keeper.one(keeper.keys(None)[0])) is None  # type: ignore[arg-type]
    assert archive.archive.page("", 10) == []
    assert archive.archive.used == 0
    archive.close()


def test_equal_contents_are_stored_once_and_the_oldest_give_way(tmp_path: Path) -> None:
    archive = FileArchive(tmp_path / "archive.db", 3 * ENTRY_BYTES + 1000)
    for name in ("t1.1", "t2.1"):
        archive.put(name, [text("wd/out", b"x" * 900)])
    assert archive.used == 2 * ENTRY_BYTES + 900
    archive.forget(["t1.1"])
    assert archive.used == ENTRY_BYTES + 900
    archive.put("t3.1", [text("wd/out", b"y" * 200), text("wd/more", b"z")])
    assert archive.page("", 10) == ["t3.1"], "the older one was over the bound"
    archive.put("t3.1", [])
    assert [file.name for file in archive.list("t3.1")] == ["wd/more", "wd/out"]
    archive.remove("t3.1", "wd")
    assert (archive.list("t3.1"), archive.used) == ([], 0)
    archive.close()


def test_a_damaged_archive_is_begun_anew(tmp_path: Path) -> None:
    path = tmp_path / "archive.db"
    path.write_bytes(b"no database " * 1000)
    archive = FileArchive(path, 1000)
    archive.put("t1.1", [text("a", b"a")])
    archive.close()
    assert FileArchive(path, 1000).page("", 10) == ["t1.1"]
