"""Task rate of the agents alone: from a start message at the hub to the exited event, no HTTP and no store.

`python -m bench.agent_tasks [--tasks N] [--runs R] [--place DIR]`. Needs root. Compares with the bare two-worker
loop of `bench.floor` on the same file system, measured before and after, and tells the processor time the host
agent and the node agents took for themselves.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import secrets
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

from bench import floor, report
from poolwright.engines.base import EngineError, MachineRequest
from poolwright.engines.hub import AgentHub, Json
from poolwright.engines.sandbox.driver import SandboxEngine
from poolwright.engines.sandbox.launcher import HostAgentProcess

SLOTS = 2
NODE_COUNTS = (2, 4, 8)


class Load:
    """Keeps every slot of every node busy with the next task; a stand-in for the service."""

    def __init__(self) -> None:
        self.hub: AgentHub | None = None
        self.left = 0
        self.unfinished = 0
        self.serial = 0
        self.failed = 0
        self.done = asyncio.Event()

    def begin(self, tasks: int, nodes: list[str]) -> None:
        self.left = self.unfinished = tasks
        self.done.clear()
        self._start([name for name in nodes for _ in range(SLOTS)])

    def _start(self, nodes: list[str]) -> None:
        items = []
        for name in nodes[: self.left]:
            self.serial += 1
            items.append(_spec(name, self.serial))
        self.left -= len(items)
        if items and self.hub is not None:
            self.hub.send_start(items)

    def on_hello(self, hello: Json) -> None:
        pass

    def on_beat(self, beat: Json) -> None:
        pass

    def on_disconnect(self) -> None:
        pass

    def on_events(self, items: list[Json]) -> None:
        ended = [item for item in items if item["t"] == "exec" and item["state"] in ("exited", "failed")]
        if not ended or self.hub is None:
            return
        self.failed += sum(item.get("exit_code") != 0 for item in ended)
        self.unfinished -= len(ended)
        self._start([item["machine"] for item in ended])
        self.hub.ack([item["exec"] for item in ended])
        if self.unfinished == 0:
            self.done.set()


def _spec(machine: str, serial: int) -> Json:
    task = f"task-{serial}"
    root = "/mnt/batch/tasks"
    names = ("AZ_BATCH_ACCOUNT_NAME", "AZ_BATCH_POOL_ID", "AZ_BATCH_JOB_ID", "AZ_BATCH_NODE_ID")
    env = dict.fromkeys(names, "value-of-usual-length")
    env |= {
        "AZ_BATCH_TASK_ID": task,
        "AZ_BATCH_NODE_ROOT_DIR": root,
        "AZ_BATCH_NODE_SHARED_DIR": f"{root}/shared",
    }
    env |= {"AZ_BATCH_TASK_DIR": f"{root}/workitems/job/job-1/{task}"}
    user = {"scope": "pool", "elevation": "nonadmin", "name": None}
    return {
        "machine": machine,
        "fence": 1,
        "exec": f"x{serial}",
        "kind": "task",
        "dir": f"workitems/job/job-1/{task}",
        "command": "/bin/true",
        "env": env,
        "user": user,
        "wall_clock_s": None,
        "fresh": True,
    }


def _image(path: Path) -> Path:
    """A disk with nothing but `true` and its libraries."""
    tree = path.with_suffix(".tree")
    (tree / "bin").mkdir(parents=True)
    program = Path(shutil.which("true") or "/bin/true").resolve()
    shutil.copy(program, tree / "bin/true")
    listed = subprocess.run(["ldd", str(program)], capture_output=True, text=True, check=False).stdout.split()
    for word in listed:
        if word.startswith("/"):
            target = tree / word.lstrip("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(Path(word).resolve(), target)
    with path.open("wb") as stream:
        stream.truncate(32 << 20)
    command = ["mke2fs", "-q", "-t", "ext4", "-E", "root_owner=0:0", "-d", str(tree), str(path)]
    subprocess.run(command, check=True)
    shutil.rmtree(tree)
    return path


def _own_cpu_s(pids: list[int]) -> float:
    """Processor time of processes without their children (proc(5), stat fields 14 and 15)."""
    ticks = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def _node_pids(data_dir: Path) -> list[int]:
    import json

    return [json.loads(path.read_text())["pid"] for path in data_dir.glob("nodes/*/machine.json")]


async def _measure(place: Path, tasks: int, runs: int) -> None:
    scratch = Path(tempfile.mkdtemp(prefix="poolwright-agents-", dir=place))
    scratch.chmod(0o711)  # noqa: ASYNC240 - nothing else runs yet
    data = scratch / "data"
    (data / "run").mkdir(parents=True)
    token = secrets.token_hex()
    (data / "run/agents.token").write_text(token)
    load = Load()
    hub = load.hub = AgentHub(str(data / "run/agents.sock"), token, load)
    agent = HostAgentProcess(data)
    engine = SandboxEngine(hub)
    await hub.start()
    agent.start()
    try:
        await hub.wait_connected(20)
        image = _image(scratch / "os.raw")
        for count in NODE_COUNTS:
            await _series(engine, agent, load, image, data, count, tasks, runs)
    finally:
        await engine.delete([machine.name for machine in await engine.machines()])
        await agent.stop()
        await hub.close()
        shutil.rmtree(scratch)


async def _series(
    engine: SandboxEngine,
    agent: HostAgentProcess,
    load: Load,
    image: Path,
    data: Path,
    count: int,
    tasks: int,
    runs: int,
) -> None:
    names = [f"n{number}" for number in range(count)]
    values = {"kind": "node", "fence": 1, "os_disk": str(image), "cores": 2.0, "memory_mib": 512}
    made = await engine.create([MachineRequest(name=name, hostname=name, **values) for name in names])  # type: ignore[arg-type]
    wrong = [outcome for outcome in made if isinstance(outcome, EngineError)]
    if wrong:
        raise wrong[0]
    rates, ratios, agent_ms, host_ms = [], [], [], []
    for _ in range(runs):
        before = floor.tasks_per_second(data, tasks)
        nodes, host = _node_pids(data), [agent.pid() or 0]
        cpu_nodes, cpu_host, began = _own_cpu_s(nodes), _own_cpu_s(host), time.perf_counter()
        load.begin(tasks, names)
        await load.done.wait()
        rate = tasks / (time.perf_counter() - began)
        agent_ms.append((_own_cpu_s(nodes) - cpu_nodes) / tasks * 1e3)
        host_ms.append((_own_cpu_s(host) - cpu_host) / tasks * 1e3)
        after = floor.tasks_per_second(data, tasks)
        rates.append(rate)
        ratios.append(rate / ((before + after) / 2))
    report.row(f"{count} nodes of {SLOTS} slots: rate", rates, "tasks/s")
    report.row(f"{count} nodes: of the bare two-worker loop", ratios, "x")
    report.row(f"{count} nodes: node agents' own time", agent_ms, "ms CPU a task")
    report.row(f"{count} nodes: host agent's own time", host_ms, "ms CPU a task")
    if load.failed:
        raise RuntimeError(f"{load.failed} tasks did not end with exit code 0")
    await engine.delete(names)


def main() -> None:
    """Run the series."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", type=int, default=5000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--place", type=Path, default=Path("/dev/shm"), help="directory for task files")
    options = parser.parse_args()
    report.heading("agents alone: /bin/true tasks from start order to exited event")
    asyncio.run(_measure(options.place, options.tasks, options.runs))


if __name__ == "__main__":
    main()
