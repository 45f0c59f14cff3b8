"""A host agent of its own for a test, the hub it talks to, and a small image made of this host's programs."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from poolwright.engines.base import MachineRequest
from poolwright.engines.hub import AgentHub, Json
from poolwright.engines.sandbox.driver import SandboxEngine
from poolwright.engines.sandbox.launcher import HostAgentProcess

PROGRAMS = (
    "sh", "true", "false", "sleep", "cat", "ls", "id", "env", "pwd", "echo", "mkdir", "chown", "chmod", "touch",
    "rm", "ln", "setsid", "head", "dd", "stat", "readlink", "hostname", "ps", "mount", "umount", "kill", "seq",
    "find", "setpriv", "mkfifo", "wc", "ip", "tr", "sync",
)  # fmt: skip
TOKEN = "test-token"


def make_tree(root: Path) -> None:
    """A minimal root file system from programs and libraries of this host."""
    for name in (
        "bin",
        "etc",
        "tmp",
        "proc",
        "sys",
        "dev",
        "root",
        "mnt",
        "var",
        "usr/bin",
        "usr/local/bin",
        "home",
    ):
        (root / name).mkdir(parents=True, exist_ok=True)
    (root / "tmp").chmod(0o1777)
    (root / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\nbuilder:x:1234:1234::/tmp:/bin/sh\n")
    (root / "etc/group").write_text("root:x:0:\nbuilder:x:1234:\nrenderers:x:4321:builder\n")
    (root / "etc/os-release").write_text('ID=test\nVERSION_ID="1"\n')
    libraries: set[Path] = set()
    for program in PROGRAMS:
        found = shutil.which(program)
        assert found is not None, f"this host has no {program}"
        real = Path(found).resolve()
        shutil.copy(real, root / "bin" / program)
        for word in subprocess.run(
            ["ldd", str(real)], capture_output=True, text=True, check=False
        ).stdout.split():
            if word.startswith("/"):
                libraries.add(Path(word))
    for library in libraries:
        target = root / str(library).lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(library.resolve(), target)


def make_disk(path: Path, tree: Path | None, mib: int) -> Path:
    """A raw ext4 disk image with the files of `tree`, owned by root."""
    with path.open("wb") as stream:
        stream.truncate(mib << 20)
    command = ["mke2fs", "-q", "-t", "ext4", "-E", "root_owner=0:0,lazy_itable_init=1"]
    subprocess.run([*command, *(["-d", str(tree)] if tree else []), str(path)], check=True)
    return path


def make_image(directory: Path) -> Path:
    """The test image; also `data.raw` beside it with one file."""
    tree = directory / "tree"
    make_tree(tree)
    image = make_disk(directory / "os.raw", tree, 96)
    data = directory / "data-tree"
    data.mkdir()
    (data / "reference.txt").write_text("reference data\n")
    make_disk(directory / "data.raw", data, 8)
    shutil.rmtree(tree)
    return image


class Rig:
    """Hub, host agent and engine on a data directory. Records what the agent reports."""

    def __init__(self, data_dir: Path, grace_s: float = 60.0) -> None:
        self.data_dir = data_dir
        (data_dir / "run").mkdir(parents=True, exist_ok=True)
        (data_dir / "run" / "agents.token").write_text(TOKEN)
        self.hub = AgentHub(str(data_dir / "run" / "agents.sock"), TOKEN, self)
        self.agent = HostAgentProcess(data_dir, grace_s, steady_s=0)
        self.engine = SandboxEngine(self.hub)
        self.hellos: list[Json] = []
        self.events: list[Json] = []
        self.disconnects = 0
        self._fresh = asyncio.Event()
        self._closed = False

    def on_hello(self, hello: Json) -> None:
        self.hellos.append(hello)
        self._fresh.set()

    def on_events(self, items: list[Json]) -> None:
        self.events.extend(items)
        self._fresh.set()

    def on_beat(self, beat: Json) -> None:
        pass

    def on_disconnect(self) -> None:
        self.disconnects += 1
        self._fresh.set()

    async def start(self) -> None:
        await self.hub.start()
        self.agent.start()
        await self.hub.wait_connected(20)

    async def close(self) -> None:
        """End everything, also after a failed test."""
        if self._closed:
            return
        self._closed = True
        with contextlib.suppress(Exception):
            if not self.hub.connected:
                await self.hub.wait_connected(5 if self.agent.pid() else 0.01)
            names = [machine.name for machine in await self.engine.machines()]
            await self.engine.delete(names)
        await self.agent.stop()
        await self.hub.close()
        for pid in self.node_pids():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def node_pids(self) -> list[int]:
        """First processes of machines, from their records."""
        found = []
        for record in self.data_dir.glob("nodes/*/machine.json"):
            with contextlib.suppress(OSError, ValueError):
                pid = json.loads(record.read_text())["pid"]
                if pid and Path(f"/proc/{pid}").exists():
                    found.append(int(pid))
        return found

    def pid_of(self, name: str) -> int:
        """Host process id of a machine's first process."""
        return int(json.loads((self.data_dir / f"nodes/{name}/machine.json").read_text())["pid"])

    async def until(self, condition: Callable[[], Any], what: str, deadline_s: float = 20.0) -> Any:
        """Wait for a condition; on failure show what was reported."""
        deadline = time.monotonic() + deadline_s
        while True:
            value = condition()
            if value:
                return value
            left = deadline - time.monotonic()
            if left <= 0:
                log = self.data_dir / "log" / "agent.log"
                text = log.read_text()[-3000:] if log.exists() else ""
                raise AssertionError(
                    f"{what} did not happen; events {self.events[-20:]}; hellos {self.hellos[-1:]}; {text}"
                )
            self._fresh.clear()
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._fresh.wait(), min(left, 0.05))

    def exec_states(self, exec_id: str) -> list[Json]:
        return [item for item in self.events if item["t"] == "exec" and item["exec"] == exec_id]

    async def ended(self, exec_id: str, deadline_s: float = 20.0) -> Json:
        """The end of an execution."""

        def end() -> Json | None:
            ends = [i for i in self.exec_states(exec_id) if i["state"] in ("exited", "failed")]
            ends += [
                i for h in self.hellos for i in h["execs"] if i["exec"] == exec_id and i["state"] != "running"
            ]
            return ends[-1] if ends else None

        result: Json = await self.until(end, f"end of {exec_id}", deadline_s)
        return result

    async def running(self, exec_id: str) -> Json:
        def first() -> Json | None:
            return next(iter(self.exec_states(exec_id)), None)

        result: Json = await self.until(first, f"start of {exec_id}")
        return result

    async def run(self, machine: str, exec_id: str, command: str, **more: Any) -> Json:
        """Run a command in a machine and wait for its end."""
        self.hub.send_start([self.spec(machine, exec_id, command, **more)])
        return await self.ended(exec_id)

    def spec(self, machine: str, exec_id: str, command: str, **more: Any) -> Json:
        spec: Json = {
            "machine": machine, "fence": 1, "exec": exec_id, "kind": "task", "dir": f"workitems/j/job-1/{exec_id}",
            "command": command, "env": {}, "user": {"scope": "pool", "elevation": "nonadmin", "name": None},
            "wall_clock_s": None, "fresh": True,
        }  # fmt: skip
        spec.update(more)
        return spec

    async def text(self, machine: str, path: str) -> str:
        chunks = [chunk async for chunk in self.hub.read_file(machine, path)]
        return b"".join(chunks).decode()


def node(name: str, image: Path, **more: Any) -> MachineRequest:
    """A request for a node of the test image."""
    values: dict[str, Any] = {
        "name": name, "kind": "node", "fence": 1, "hostname": name, "os_disk": str(image), "cores": 1.0,
        "memory_mib": 256, "pids": 256,
    }  # fmt: skip
    values.update(more)
    return MachineRequest(**values)
