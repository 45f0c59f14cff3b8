"""A real service with real nodes, driven by the official clients: what the end-to-end tests share."""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from azure.batch import BatchClient
from azure.batch import models as batch
from azure.core.credentials import AzureNamedKeyCredential
from azure.core.exceptions import ResourceNotFoundError
from azure.core.rest import HttpRequest

from demo.clients import Clients, connect, trust
from demo.service import Ready, Service
from tests.support.waiting import wait_until

UNTIL_LET_GO = "until test -e $AZ_BATCH_NODE_SHARED_DIR/go; do sleep 0.05; done"
"""A command that goes on until `Live.let_go`: how long a task runs is the test's affair, not the clock's."""
POLL: dict[str, Any] = {"polling_interval": 1}
BASE_CACHE = Path(__file__).parents[3] / ".dev" / "cache" / "base"


class Live:
    """One service in a directory of its own. `start` again after a kill goes on with the same data."""

    def __init__(self, directory: Path) -> None:
        self.data_dir = directory / "data"
        self.service = Service(self.data_dir, directory / "service.log", BASE_CACHE)
        self.ready: Ready
        self.clients: Clients
        self.batch: BatchClient
        self._connections = ExitStack()

    def start(self, *more: str) -> None:
        """Start it (on the port it had before) and connect."""
        self.ready = self.service.start(self.service.port, *more)
        self._connections.close()
        self.clients = connect(self.ready)
        self._connections.callback(self.clients.close)
        self.batch = self.by_token()

    def start_again(self, *more: str) -> None:
        """Stop the service and start it with these options."""
        self.service.stop()
        self.start(*more)

    def by_token(self) -> BatchClient:
        """A further client that brings a token; closed with the rest."""
        made = self.clients.batch(self.ready.account_endpoint)
        self._connections.callback(made.close)
        return made

    def by_key(self) -> BatchClient:
        """A client that signs with the account's shared key."""
        known = self.ready
        credential = AzureNamedKeyCredential(known.account_name, known.account_key)
        made = BatchClient(f"https://{known.account_endpoint}", credential)
        self._connections.callback(made.close)
        return made

    def kill_service(self) -> None:
        """kill -9 the service."""
        os.kill(self.ready.pid, signal.SIGKILL)
        self.service.wait_dead()

    def agent_pid(self) -> int:
        """The host agent's process id."""
        return int((self.data_dir / "run" / "agent.pid").read_text().split()[0])

    def kill_agent(self) -> None:
        """kill -9 the host agent."""
        pid = self.agent_pid()
        os.kill(pid, signal.SIGKILL)

    def kill_nodes(self) -> None:
        """kill -9 the first process of every node (the host agent's children)."""
        agent = self.agent_pid()
        for process in Path("/proc").glob("[0-9]*"):
            try:
                fields = (process / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[1]) == agent:
                os.kill(int(process.name), signal.SIGKILL)

    def turn_to(self) -> None:
        """Speak with this service again, after another one; start it if a test left it dead."""
        trust(self.ready)
        if not self.service.is_running():
            self.start()

    def empty(self) -> None:
        """Delete all jobs and pools, and wait until they are gone."""
        self.turn_to()
        self.delete_jobs()
        for pool in self.batch.list_pools(select=["id", "state"]):
            if pool["state"] != "deleting":
                with suppress(ResourceNotFoundError):
                    self.batch.begin_delete_pool(str(pool["id"]))
        wait_until(lambda: not list(self.batch.list_pools()), 60, lambda: list(self.batch.list_pools()))

    def delete_jobs(self) -> None:
        """Delete all jobs, and wait until they are gone."""
        for job in self.batch.list_jobs(select=["id", "state"]):
            if job["state"] != "deleting":
                with suppress(ResourceNotFoundError):  # whose end was asked for already
                    self.batch.begin_delete_job(str(job["id"]), force=True)
        wait_until(lambda: not list(self.batch.list_jobs()), 60, lambda: list(self.batch.list_jobs()))
        for shared in self._shared():
            (shared / "go").unlink(missing_ok=True)

    def why(self, *parts: str) -> str:
        """The explanation at a path, in words."""
        account = f"https://{self.ready.account_endpoint}"
        request = HttpRequest("GET", f"{account}/{'/'.join(parts)}/explain?api-version=2025-06-01")
        answer = self.batch.send_request(request)
        answer.raise_for_status()
        return " ".join(str(row["message"]) for row in answer.json()["value"])

    def close(self) -> None:
        """End everything, whatever state it is in."""
        self._connections.close()
        try:
            self.service.stop()
        finally:
            self.service.down()

    def pool(self, id: str = "pool", dedicated: int = 2, low: int = 0, slots: int = 2, **more: Any) -> None:
        """A pool from the host's own marketplace image, all of whose nodes are idle."""
        images = self.batch.list_supported_images()
        image = next(image for image in images if image.verification_type == "verified")
        self.batch.create_pool(
            batch.BatchPoolCreateOptions(
                id=id,
                vm_size="standard_d2s_v3",
                virtual_machine_configuration=batch.VirtualMachineConfiguration(
                    image_reference=image.image_reference,
                    node_agent_sku_id=str(image.node_agent_sku_id),
                    **more.pop("machine", {}),
                ),
                target_dedicated_nodes=dedicated,
                target_low_priority_nodes=low,
                task_slots_per_node=slots,
                **more,
            )
        )

    def idle_pool(
        self, id: str = "pool", dedicated: int = 2, low: int = 0, slots: int = 2, **more: Any
    ) -> None:
        """As `pool`; returns when its nodes are idle and it is steady."""
        self.pool(id, dedicated, low, slots, **more)
        self.wait_nodes(id, {"idle": dedicated + low})
        self.wait_steady(id)

    def wait_steady(self, pool: str = "pool") -> None:
        """Wait until the pool is not being resized."""
        wait_until(
            lambda: self.batch.get_pool(pool)["allocationState"] == "steady",
            60,
            lambda: self.batch.get_pool(pool),
        )

    def states(self, pool: str = "pool") -> dict[str, int]:
        """Nodes of a pool by state."""
        return dict(Counter(str(node["state"]) for node in self.batch.list_nodes(pool)))

    def wait_nodes(self, pool: str, states: dict[str, int], deadline_s: float = 60) -> None:
        """Wait until the pool's nodes are in just these states."""
        wait_until(
            lambda: self.states(pool) == states,
            deadline_s,
            lambda: f"{self.states(pool)}\n{self.service.log_tail()}",
        )

    def job(self, id: str = "job", pool: str = "pool", **more: Any) -> None:
        """A job on a pool."""
        info = batch.BatchPoolInfo(pool_id=pool)
        self.batch.create_job(batch.BatchJobCreateOptions(id=id, pool_info=info, **more))

    def task(self, id: str, command: str, job: str = "job", **more: Any) -> None:
        """One task; `command` is a shell script."""
        line = "/bin/sh -c '" + command.replace("'", "'\\''") + "'"
        self.batch.create_task(job, batch.BatchTaskCreateOptions(id=id, command_line=line, **more))

    def wait_draining(self, node: str, pool: str = "pool") -> None:
        """Wait until the node is to leave or rest, and waits for a task."""
        wait_until(
            lambda: "1 slots are still in use" in self.why("pools", pool, "nodes", node),
            60,
            lambda: self.why("pools", pool, "nodes", node),
        )

    def let_go(self) -> None:
        """Tasks that wait by UNTIL_LET_GO may go on, on every node that there is now."""
        for shared in self._shared():
            (shared / "go").touch()

    def _shared(self) -> Iterator[Path]:
        return (self.data_dir / "nodes").glob("*/temp/shared")

    def state(self, task: str, job: str = "job") -> str:
        """The state of a task."""
        return str(self.batch.get_task(job, task)["state"])

    def wait_task(self, task: str, state: str, job: str = "job", deadline_s: float = 60) -> Any:
        """Wait until a task is in a state; returns it as the wire shows it."""
        wait_until(
            lambda: self.state(task, job) == state,
            deadline_s,
            lambda: f"{self.batch.get_task(job, task)}\n{self.service.log_tail()}",
        )
        return self.batch.get_task(job, task)

    def wait_completed(self, count: int, job: str = "job", deadline_s: float = 120) -> None:
        """Wait until so many tasks of a job are completed."""

        def counts() -> Any:
            return self.batch.get_job_task_counts(job)["taskCounts"]

        wait_until(
            lambda: counts()["completed"] == count,
            deadline_s,
            lambda: f"{counts()}\n{self.states()}\n{self.service.log_tail()}",
        )

    def output(self, task: str, job: str = "job", name: str = "stdout.txt") -> str:
        """A file of a task."""
        return b"".join(self.batch.download_task_file(job, task, name)).decode()

    def ledger(self, pool: str = "pool", name: str = "shared/ledger") -> list[str]:
        """The lines all nodes of a pool have in a file below their root, together."""
        lines: list[str] = []
        for node in self.batch.list_nodes(pool):
            try:
                pieces = self.batch.download_node_file(pool, str(node["id"]), name)
            except ResourceNotFoundError:
                continue  # nothing was written on this node yet
            lines += b"".join(pieces).decode().split()
        return lines


@contextmanager
def running(directory: Path, *options: str) -> Iterator[Live]:
    """A service started with these options; everything of it is gone afterwards."""
    if os.geteuid() != 0:
        pytest.skip("nodes are made of namespaces and mounts, which needs root")
    made = Live(directory)
    try:
        made.start(*options)
        yield made
    finally:
        made.close()
