"""A live TLS server with the data plane on a SQLite store, without any engine: tests put nodes in themselves."""

from __future__ import annotations

import asyncio
import hashlib
import random
import socket
import sqlite3
import uuid
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TypeVar

import pytest
import uvicorn
from azure.batch import BatchClient
from azure.core.credentials import AzureNamedKeyCredential
from starlette.applications import Starlette

from poolwright.api.auth import Plane, Principal, authenticate
from poolwright.api.auth.requests import Scope
from poolwright.api.batch.app import routes
from poolwright.api.batch.feed import Feed
from poolwright.api.batch.services import (
    BatchServices,
    FileInfo,
    FileMissing,
    PathRefused,
)
from poolwright.api.identity import TlsFiles, ensure_tls, identity_routes
from poolwright.commands import jobs, nodes, pools, schedules, tasks
from poolwright.domain.account import Account
from poolwright.domain.catalogue import SUPPORTED_IMAGES, with_ends
from poolwright.domain.facts import Explanation, Fact
from poolwright.domain.limits import FILES_LISTED_MAX, Settings
from poolwright.domain.node import Node
from poolwright.domain.node_logs import LogRequest, LogUpload
from poolwright.domain.states import AllocationState, NodeState, TaskState
from poolwright.domain.storage import Export
from poolwright.store.base import Tx
from poolwright.store.sqlite import SqliteStore
from tests.support.waiting import wait_until
from tests.unit.identity.parts import ACCOUNT, PRIMARY, SECONDARY, IdentityParts
from tests.wire.identity.conftest import HostClock, Server

#: Ends of support, one of them long ago.
ENDS = (
    ("almalinux:almalinux-x86_64:8-gen2", 946_684_800_000_000),
    ("almalinux:almalinux-x86_64:9-gen2", 3_786_912_000_000_000),
)

T = TypeVar("T")

OTHER = "render2"
OLD_VERSION = "2024-02-01.19.0"
NEW_VERSION = "2025-06-01"


class RandomIds:
    """Names by chance, from one seed."""

    def __init__(self) -> None:
        self._rng = random.Random(7)

    def uuid(self) -> str:
        return str(uuid.UUID(int=self._rng.getrandbits(128), version=4))

    def short(self) -> str:
        return f"{self._rng.getrandbits(48):012x}"


class TwoAccounts:
    """The accounts of these tests; the first is the default."""

    def find(self, name: str) -> str | None:
        return name.lower() if name.lower() in (ACCOUNT, OTHER) else None

    def default(self) -> str | None:
        return ACCOUNT


class DirectoryFiles:
    """Files of machines in directories named after them."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def _path(self, machine: str, path: str) -> Path:
        base = (self.root / machine).resolve()
        found = (base / path).resolve()
        if not found.is_relative_to(base):
            raise PathRefused("The path leads out of the node's directory.")
        if not found.exists():
            raise FileMissing
        return found

    @staticmethod
    def _info(path: Path, name: str) -> FileInfo:
        stat = path.stat()
        return FileInfo(name, path.is_dir(), stat.st_size, stat.st_mtime_ns // 1000, stat.st_mode)

    async def list(
        self, machine: str, directory: str, *, recursive: bool, prefix: str, after: str
    ) -> Sequence[FileInfo]:
        base = self._path(machine, directory)
        found = base.rglob("*") if recursive else base.glob("*")
        named = ((path, path.relative_to(base).as_posix()) for path in found)
        wanted = sorted((name.split("/"), path) for path, name in named if name.startswith(prefix))
        behind = [item for item in wanted if not after or item[0] > after.split("/")]
        return [self._info(path, "/".join(parts)) for parts, path in behind[:FILES_LISTED_MAX]]

    async def stat(self, machine: str, path: str) -> FileInfo:
        return self._info(self._path(machine, path), path)

    async def read(self, machine: str, path: str, offset: int, length: int) -> AsyncIterator[bytes]:
        content = self._path(machine, path).read_bytes()[offset : offset + length]
        for start in range(0, len(content), 65536):
            yield content[start : start + 65536]

    async def delete(self, machine: str, path: str, *, recursive: bool) -> None:
        found = self._path(machine, path)
        if found.is_file():
            found.unlink()
        elif any(found.iterdir()) and not recursive:
            raise PathRefused("The directory is not empty.")
        else:
            found.rmdir()


class FixedDoors:
    """Every node is behind one port."""

    async def open(self, account: str, pool: str, node: str, machine: str) -> int:
        assert all((account, pool, node, machine))
        return 50_022

    async def offer(self, account: str, pool: str, node: str, machine: str) -> int | None:
        return await self.open(account, pool, node, machine)


class StateExplainer:
    """Tells the state of what exists."""

    def __init__(self, store: SqliteStore) -> None:
        self._store = store

    async def pool(self, account: str, pool: str) -> Sequence[Explanation]:
        found = await self._store.read(lambda tx: pools.get(tx, account, pool))
        return [Explanation("PoolState", f"The pool is {found.state}.")]

    async def node(self, account: str, pool: str, node: str) -> Sequence[Explanation]:
        found = await self._store.read(lambda tx: nodes.get(tx, account, pool, node))
        return [
            Explanation("NodeState", f"The node is {found.state}.", "Wait.", (("machine", found.machine),))
        ]

    async def task(self, account: str, job: str, task: str) -> Sequence[Explanation]:
        await self._store.read(lambda tx: jobs.get(tx, account, job))
        return [Explanation("NoPool", f"The task {task} waits for a pool.")]

    async def job(self, account: str, job: str) -> Sequence[Explanation]:
        await self._store.read(lambda tx: jobs.get(tx, account, job))
        return [Explanation("TasksRun", f"Tasks of {job} run.")]

    async def job_schedule(self, account: str, schedule: str) -> Sequence[Explanation]:
        await self._store.read(lambda tx: schedules.get(tx, account, schedule))
        return [Explanation("NextRunLater", f"The schedule {schedule} waits.")]


@dataclass(slots=True)
class Live:
    """The running server and what is behind it."""

    parts: IdentityParts
    tls: TlsFiles
    port: int
    store: SqliteStore
    files: DirectoryFiles
    database: Path
    feed: Feed
    services: BatchServices

    @property
    def url(self) -> str:
        return f"https://localhost:{self.port}"

    def client(self, key: str = PRIMARY, prefix: str = "", **options: object) -> BatchClient:
        credential = AzureNamedKeyCredential(ACCOUNT, key)
        verify = str(self.tls.ca_file)
        return BatchClient(self.url + prefix, credential, connection_verify=verify, retry_total=0, **options)

    def write(self, fn: Callable[[Tx], T]) -> T:
        return asyncio.run(self.store.write(fn))

    def read(self, fn: Callable[[Tx], T]) -> T:
        return asyncio.run(self.store.read(fn))

    def fingerprint(self) -> str:
        """A digest of every row of every table."""
        with sqlite3.connect(f"file:{self.database}?mode=ro", uri=True) as connection:
            dump = "\n".join(connection.iterdump())
        connection.close()
        return hashlib.sha256(dump.encode()).hexdigest()

    def add_node(
        self, pool: str, number: int, *, dedicated: bool = True, state: NodeState = NodeState.IDLE
    ) -> Node:
        """A node as the pool's loop would have made it, with a directory for its files."""
        now = self.parts.clock.now()
        node = Node(
            account=ACCOUNT,
            pool=pool,
            id=f"tvmps_{number:04d}_{'d' if dedicated else 'p'}",
            machine=f"pw-{pool}-{number}",
            dedicated=dedicated,
            state=state,
            state_at=now,
            allocated_at=now,
            fence=1,
            booted_at=now,
            address="10.201.0.9",
        )
        self.write(lambda tx: tx.nodes.insert_many([node]))
        (self.files.root / node.machine).mkdir(parents=True, exist_ok=True)
        return node

    def settle(self, pool: str) -> None:
        """End the pool's resize, as its loop would."""

        def steady(tx: Tx) -> None:
            found = pools.get(tx, ACCOUNT, pool)
            tx.pools.update(replace(found, allocation=AllocationState.STEADY))

        self.write(steady)

    def place(self, job: str, task: str, node: Node) -> None:
        """Have the task run on the node, as the pool's loop would."""

        def run(tx: Tx) -> None:
            found = tasks.get(tx, ACCOUNT, job, task)
            running = replace(
                found,
                state=TaskState.RUNNING,
                attempt=1,
                node=node.id,
                pool=node.pool,
                started_at=found.created_at,
            )
            tx.tasks.update_many([running])

        self.write(run)


def _insert(account: Account, tx: Tx) -> None:
    tx.accounts.insert(account)


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    data_dir: Path = tmp_path_factory.mktemp("batch")
    clock = HostClock()
    tls = ensure_tls(data_dir, clock, [f"{ACCOUNT}.localhost"])
    store = SqliteStore(data_dir / "store")
    for name in (ACCOUNT, OTHER):
        account = Account(name, f"/accounts/{name}", PRIMARY, SECONDARY, clock.now())
        asyncio.run(store.write(partial(_insert, account)))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        parts = IdentityParts(data_dir, port, clock)
        files = DirectoryFiles(data_dir / "nodes")

        def who(scope: Scope, account: str | None) -> Principal:
            return authenticate(
                scope,
                plane=Plane.BATCH,
                keys=parts.keys,
                tokens=parts.verifier,
                now=clock.now(),
                account=account,
            )

        feed = Feed(store)
        services = BatchServices(
            store=store,
            clock=clock,
            ids=RandomIds(),
            settings=Settings(exports=(Export("scenes", "/srv/scenes"),), support_ends=ENDS),
            images=with_ends(SUPPORTED_IMAGES, ENDS),
            accounts=TwoAccounts(),
            authenticate=who,
            files=files,
            explain=StateExplainer(store),
            doors=FixedDoors(),
            node_logs=PromisedLogs(),
            feed=feed,
            endpoint=f"https://localhost:{port}",
        )
        app = Starlette(routes=[*identity_routes(parts.issuer), *routes(services)])
        with _served(app, tls, listener):
            yield Live(parts, tls, port, store, files, data_dir / "store" / "poolwright.db", feed, services)
    asyncio.run(store.close())


class PromisedLogs:
    """Promises two files and uploads none."""

    async def upload(self, node: Node, facts: Sequence[Fact], request: LogRequest) -> LogUpload:
        return LogUpload(f"{node.pool}/{node.id}/x", 2)

    async def texts(self, node: Node, facts: Sequence[Fact]) -> Sequence[tuple[str, str]]:
        return [("node.log", f"{node.id}\n")]


@contextmanager
def _served(app: Starlette, tls: TlsFiles, listener: socket.socket) -> Iterator[None]:
    server = Server(
        uvicorn.Config(
            app,
            ssl_certfile=tls.certificate_file,
            ssl_keyfile=tls.key_file,
            log_level="warning",
            lifespan="off",
        )
    )
    with ThreadPoolExecutor(1, thread_name_prefix="server") as threads:
        running = threads.submit(server.run, sockets=[listener])
        wait_until(lambda: server.started or running.done(), 20, "the server has not started")
        try:
            yield
        finally:
            server.should_exit = True
            running.result(20)
