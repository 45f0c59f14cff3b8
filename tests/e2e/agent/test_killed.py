"""SIGKILL at the worst moments: no execution is lost or run twice, and nothing is left on the host."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from pathlib import Path

import pytest

from poolwright.engines.base import EngineError, Machine, NotFound
from poolwright.engines.hub import AgentHub
from tests.contract.engines.rig import TOKEN, Rig, node
from tests.support.leaks import Watch

pytestmark = [pytest.mark.needs_root, pytest.mark.slow]

COUNTED = "sh -c 'echo x >> /mnt/batch/tasks/shared/{0}; sleep {1}'"


async def nodes(rig: Rig, image: Path, count: int) -> list[str]:
    """Make nodes and name them."""
    names = [f"n{number}" for number in range(count)]
    made = await rig.engine.create([node(name, image) for name in names])
    assert all(isinstance(outcome, Machine) for outcome in made), made
    return names


def runs(rig: Rig, machine: str, exec_id: str) -> int:
    """How often an execution really ran."""
    path = rig.data_dir / f"nodes/{machine}/temp/shared/{exec_id}"
    return len(path.read_text().splitlines()) if path.exists() else 0


async def kill_host_agent(rig: Rig) -> None:
    """SIGKILL, and wait until the hub has seen it."""
    pid = rig.agent.pid()
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    await rig.until(lambda: not rig.hub.connected, "loss of the connection")


async def test_host_agent_killed_in_mid_job(rig: Rig, image: Path, leaves_nothing: Watch) -> None:
    names = await nodes(rig, image, 4)
    pids = sorted(rig.node_pids())
    short = [(f"s{i}", names[i % 4]) for i in range(40)]
    rig.hub.send_start([rig.spec(m, e, COUNTED.format(e, 0.4)) for e, m in short])
    rig.hub.send_start([rig.spec("n0", "long", COUNTED.format("long", 4))])
    await rig.running("long")
    await kill_host_agent(rig)
    await asyncio.sleep(0)
    await rig.until(lambda: rig.hub.connected, "a new host agent", 20)
    assert sorted(rig.node_pids()) == pids
    assert [m["name"] for m in rig.hellos[-1]["machines"]] == names
    missing = [(e, m) for e, m in short if not known(rig, e)]
    rig.hub.send_start([rig.spec(m, e, COUNTED.format(e, 0.4)) for e, m in missing])  # as the service would
    for exec_id, machine in [*short, ("long", "n0")]:
        end = await rig.ended(exec_id)
        assert (end["state"], end["exit_code"], end["reason"]) == ("exited", 0, "exit")
        assert runs(rig, machine, exec_id) == 1
    assert (await rig.run("n3", "after", "true"))["exit_code"] == 0
    assert await rig.engine.delete(names) == [None] * 4
    await rig.close()


def known(rig: Rig, exec_id: str) -> bool:
    return bool(rig.exec_states(exec_id)) or any(
        item["exec"] == exec_id for hello in rig.hellos for item in hello["execs"]
    )


async def test_machines_of_a_killed_agent_can_be_deleted_by_the_next(rig: Rig, image: Path) -> None:
    names = await nodes(rig, image, 3)
    addresses = {machine.address for machine in await rig.engine.machines()}
    await kill_host_agent(rig)
    await rig.until(lambda: rig.hub.connected, "a new host agent", 20)
    (more,) = await rig.engine.create([node("later", image)])
    assert isinstance(more, Machine)
    assert more.address not in addresses
    assert (await rig.run("later", "e", "true"))["exit_code"] == 0
    assert await rig.engine.delete([*names, "later"]) == [None] * 4
    assert await rig.engine.machines() == []


async def test_first_process_killed(rig: Rig, image: Path) -> None:
    await nodes(rig, image, 2)
    rig.hub.send_start([rig.spec("n0", "e1", "sleep 300"), rig.spec("n1", "e2", "sleep 1")])
    await rig.running("e1")
    victim = rig.pid_of("n0")
    os.kill(victim, signal.SIGKILL)
    gone = await rig.until(
        lambda: [i for i in rig.events if i["t"] == "machine" and i["state"] == "gone"], "the loss of n0"
    )
    assert (gone[0]["name"], gone[0]["fence"]) == ("n0", 1)
    assert (await rig.ended("e2"))["exit_code"] == 0
    states = {machine.name: machine.state for machine in await rig.engine.machines()}
    assert states.get("n1") == "running"
    assert states.get("n0") in (None, "broken")
    await rig.until(lambda: not list((rig.data_dir / "run/m").glob("n0.sock")), "clearing after n0")
    (again,) = await rig.engine.create([node("n0", image, fence=2)])
    assert isinstance(again, Machine), again
    assert (await rig.run("n0", "e3", "true", fence=2))["exit_code"] == 0


async def test_both_killed(rig: Rig, image: Path) -> None:
    await nodes(rig, image, 2)
    victim = rig.pid_of("n0")
    await kill_host_agent(rig)
    os.kill(victim, signal.SIGKILL)
    await rig.until(lambda: rig.hub.connected, "a new host agent", 20)
    states = {machine["name"]: machine["state"] for machine in rig.hellos[-1]["machines"]}
    assert states.get("n1") == "running"
    assert states.get("n0") in (None, "broken")
    assert not any(i["exec"] == "e" for i in rig.hellos[-1]["execs"])
    outcomes = await rig.engine.delete(["n0", "n1"])
    assert outcomes == [None, None]
    (unknown,) = await rig.engine.delete(["n0"])
    assert isinstance(unknown, NotFound)


async def begun(rig: Rig, pattern: str, count: int) -> None:
    """Wait until more than `count` machines of a name have a directory."""
    await rig.until(lambda: len(list((rig.data_dir / "nodes").glob(pattern))) > count, "births under way")


async def test_killed_while_machines_are_made(rig: Rig, image: Path, leaves_nothing: Watch) -> None:
    """Whatever stage the births are in, the next agent either has the machine or nothing of it."""
    for round_number in range(4):
        names = [f"r{round_number}-{i}" for i in range(8)]
        making = asyncio.ensure_future(rig.engine.create([node(name, image) for name in names]))
        await asyncio.sleep(0)
        await begun(rig, f"r{round_number}-*", round_number)
        await kill_host_agent(rig)
        with contextlib.suppress(EngineError):
            await making
        await rig.until(lambda: rig.hub.connected, "a new host agent", 20)
        made = await rig.engine.create([node(name, image) for name in names])
        assert all(isinstance(outcome, Machine) for outcome in made), made
        rig.hub.send_start([rig.spec(name, f"e-{name}", "true") for name in names])
        for name in names:
            assert (await rig.ended(f"e-{name}"))["exit_code"] == 0
        assert await rig.engine.delete(names) == [None] * len(names)
    assert await rig.engine.machines() == []
    await rig.close()
    assert list((rig.data_dir / "nodes").glob("[!.]*")) == []


async def test_the_service_may_go_and_come_back(rig: Rig, image: Path) -> None:
    await nodes(rig, image, 1)
    ends = COUNTED.format("e1", "0.5; echo x >> /mnt/batch/tasks/shared/e1")
    rig.hub.send_start([rig.spec("n0", "e1", ends)])
    rig.hub.send_start([rig.spec("n0", "e2", COUNTED.format("e2", 3))])
    await rig.running("e2")
    await rig.hub.close()
    rig.hub = AgentHub(str(rig.data_dir / "run/agents.sock"), TOKEN, rig)
    await rig.until(lambda: runs(rig, "n0", "e1") == 2, "the end of the first one, while nobody is there")
    await rig.hub.start()
    rig.engine = type(rig.engine)(rig.hub)
    await rig.hub.wait_connected(20)
    states = {item["exec"]: item["state"] for item in rig.hellos[-1]["execs"]}
    assert states == {"e1": "exited", "e2": "running"}
    assert (await rig.ended("e2"))["exit_code"] == 0
    rig.hub.ack(["e1", "e2"])
    await rig.hub.call("info", {}, 10)  # answered after the acknowledgement was passed on
    await kill_host_agent(rig)
    await rig.until(lambda: rig.hub.connected, "a new host agent", 20)
    assert rig.hellos[-1]["execs"] == []


async def test_a_service_that_stays_away_ends_everything(
    tmp_path: Path, image: Path, leaves_nothing: Watch
) -> None:
    rig = Rig(tmp_path / "data", grace_s=1.0)
    await rig.start()
    try:
        await nodes(rig, image, 2)
        rig.hub.send_start([rig.spec("n0", "e1", "sleep 300")])
        await rig.running("e1")
        pids = rig.node_pids()
        await rig.agent.close()
        await rig.hub.close()
        await rig.until(
            lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids), "the machines' end", 20
        )
        await rig.until(lambda: rig.agent.pid() is None, "the host agent's end", 20)
    finally:
        await rig.close()


async def test_a_machine_without_any_agent_ends_itself(tmp_path: Path, image: Path) -> None:
    rig = Rig(tmp_path / "data", grace_s=1.0)
    await rig.start()
    try:
        await nodes(rig, image, 1)
        pids = rig.node_pids()
        await rig.agent.close()
        await kill_host_agent(rig)
        await rig.until(
            lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids), "the machine's end", 20
        )
        rig.agent.start()
        await rig.hub.wait_connected(20)
        assert all(machine.state == "broken" for machine in await rig.engine.machines())
    finally:
        await rig.close()


async def test_a_wrong_token_is_sent_away(rig: Rig, tmp_path: Path) -> None:
    reader, writer = await asyncio.open_unix_connection(str(rig.data_dir / "run/agents.sock"))
    body = b'J{"op":"hello","token":"wrong","machines":[],"execs":[]}'
    writer.write(len(body).to_bytes(4, "big") + body)
    assert await asyncio.wait_for(reader.read(), 10) == b""
    writer.close()
    assert rig.hub.connected
    assert len(rig.hellos) == 1
