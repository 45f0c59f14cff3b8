"""Files come before a task starts and go when it ended: the orders of such executions take a way round.

`Transfers` stands before the fleet. A start with resource files is sent on when they are there; an end with output
files is reported (once more) when they are uploaded; a kill of what is still being transferred stops that. Everything
else passes through. Nothing is kept but what is under way: a transfer that is lost is asked for again by the same
words that asked first (a greeting, a start unheard of, an end not acknowledged), and is done anew.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

from poolwright.domain.clock import SECOND, Clock, Instant
from poolwright.domain.containers import INVALID_SETTINGS, MISC_ERROR, PULL_ERROR
from poolwright.domain.limits import TRANSFER_TRIES_MAX, TRANSFERS_AT_ONCE
from poolwright.domain.node import is_simulated
from poolwright.domain.package import PACKAGE_ERROR
from poolwright.domain.transfer import OutputFile, ResourceFile, Source
from poolwright.engines.base import EngineError, NotFound
from poolwright.reconcile.containers import ContainerHost, Containers, agents_container
from poolwright.reconcile.environment import install_name
from poolwright.reconcile.fleet import Fleet, Install, Json, Upload
from poolwright.reconcile.installs import Installs, unless_stopped
from poolwright.reconcile.packages import PackageContents
from poolwright.store.base import Store, Tx

_log = logging.getLogger(__name__)

FIRST_WAIT_S, LAST_WAIT_S = 0.5, 10.0
#: What the host agent says of a job whose worker went; the job is asked for again.
_MISC = {
    "fetch": "BlobDownloadMiscError",
    "deliver": "FileUploadMiscError",
    "install": PACKAGE_ERROR,
    "image": MISC_ERROR,
}
_WORKER_DIED = "WorkerDied"
_STOPPED = "Stopped"


class NoAutoStorage(Exception):
    """The account has no linked storage; the message says what to do."""


class Carrier(Protocol):
    """Has jobs done where the machine's files are. See transfer/jobs.py for jobs and outcomes."""

    async def run(self, machine: str, fence: int, id: str, job: Json) -> Json:
        """Do a job; the same id again joins it. Waits while no agent is there. Raises NotFound when the machine's life
        is over, other EngineErrors when the outcome is unknown."""
        ...

    async def stop(self, id: str) -> None:
        """End a job; returns when nothing of it is left. Raises EngineError."""
        ...


class AutoStorage(Protocol):
    """The storage that is linked to accounts."""

    async def container_url(self, account: str, container: str, *, write: bool) -> str:
        """An address of a container that carries a leave to list and read (and write) for a day or more. Raises
        NoAutoStorage."""
        ...


@dataclass(slots=True)
class _Job:
    """A transfer under way."""

    machine: str
    what: str
    since: Instant
    images: tuple[str, ...] = ()  # containers are made of
    kill: str | None = None  # the reason of an order to end the execution
    order: Json | None = None  # that order itself
    stopping: asyncio.Event = field(default_factory=asyncio.Event, repr=False)
    task: asyncio.Task[None] | None = field(default=None, repr=False)

    def order_to_end(self) -> str | None:
        """The reason of an order that came by now."""
        return self.kill


class Transfers:
    """A Fleet that sees to files. `networks`: what the operator allows to connect to (None: the worker's own rules)."""

    def __init__(
        self,
        store: Store,
        fleet: Fleet,
        carrier: Carrier,
        clock: Clock,
        auto_storage: AutoStorage,
        contents: PackageContents,
        networks: Sequence[str] | None = None,
        containers: ContainerHost | None = None,
    ) -> None:
        self._store = store
        self._fleet = fleet
        self._carrier = carrier
        self._clock = clock
        self._auto_storage = auto_storage
        self._networks = networks
        self._jobs: dict[str, _Job] = {}
        self._stops: set[asyncio.Task[None]] = set()
        self._room = asyncio.Semaphore(TRANSFERS_AT_ONCE)
        self._installs = Installs(store, contents, self._do_alone)
        self._containers = Containers(store, self._do_alone, containers or ContainerHost())
        self._report: Callable[[list[Any]], None] = lambda _: None

    def connect(self, report: Callable[[list[Any]], None]) -> None:
        """Say whom to tell how transfers ended, in the words of agents."""
        self._report = report

    def send_start(self, items: Sequence[Json]) -> None:
        """See Fleet. Those with files wait for them here."""
        plain, waiting = [], []
        for item in items:
            ready = self._containers.ready(item) if "fetch" in item else item
            if ready is not None:
                plain.append(ready)
            else:
                waiting.append(item)
        if plain:
            self._fleet.send_start(plain)
        for item in waiting:
            text = f"its {len(item['fetch'])} resource files are being downloaded"
            if "packages" in item:
                text = f"its files and {len(item['packages'])} application packages are being brought"
            if "container" in item:
                text = f"its container image {item['container'].image} and its files are being brought"
            images = (item["container"].image,) if "container" in item else ()
            self._begin(item["exec"], item["machine"], text, partial(self._fetch, item), images)

    def send_installs(self, installs: Sequence[Install]) -> None:
        """See Fleet."""
        for one in installs:
            text = f"its {len(one.packages)} application packages are being installed"
            if one.containers is not None:
                text = f"the container runtime and its {len(one.containers.images)} images are being brought"
            images = () if one.containers is None else one.containers.images
            name = install_name(one.machine, one.fence)
            self._begin(name, one.machine, text, partial(self._install, one), images)

    def send_kill(self, items: Sequence[Json]) -> None:
        """See Fleet. What is being transferred is stopped; its end is reported once nothing of it is left."""
        rest = []
        for item in items:
            job = self._jobs.get(item["exec"])
            if job is None:
                rest.append(item)
            elif job.kill is None:
                job.kill, job.order = str(item["reason"]), item
                job.stopping.set()
                self._stop(item["exec"])
        if rest:
            self._fleet.send_kill(rest)

    def send_uploads(self, uploads: Sequence[Upload]) -> None:
        """See Fleet."""
        for upload in uploads:
            text = f"its output files ({len(upload.files)} patterns) are being uploaded"
            spec = upload.spec
            self._begin(spec.name, spec.machine, text, partial(self._deliver, upload))

    def ack(self, executions: Sequence[str], /) -> None:
        """See Fleet."""
        self._fleet.ack(executions)

    @property
    def under_way(self) -> int:
        """Transfers that are asked for and not over."""
        return len(self._jobs)

    def doing(self, execution: str) -> tuple[str, Instant] | None:
        """What is being transferred for an execution, and since when; None for nothing."""
        job = self._jobs.get(execution)
        return None if job is None else (job.what + self._containers.progress(job.images), job.since)

    async def close(self) -> None:
        """Let go: the host agent stops what its service does not wait for any more."""
        tasks = [job.task for job in self._jobs.values() if job.task is not None] + list(self._stops)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._installs.close()

    def _begin(
        self,
        name: str,
        machine: str,
        what: str,
        work: Callable[[_Job], Coroutine[Any, Any, None]],
        images: tuple[str, ...] = (),
    ) -> None:
        if name in self._jobs:
            return
        job = self._jobs[name] = _Job(machine, what, self._clock.now(), images)

        async def run() -> None:
            try:
                await work(job)
            except Exception:  # noqa: BLE001 - one transfer must not take others with it
                _log.exception("a transfer of %s was given up; it is asked for again", name)
            finally:
                self._jobs.pop(name, None)

        job.task = asyncio.create_task(run(), name=f"transfer {name}")

    def _stop(self, name: str) -> None:
        async def stop() -> None:
            try:
                await self._carrier.stop(name)
            except EngineError as error:
                _log.info("stopping the transfer of %s: %s", name, error)

        task = asyncio.create_task(stop(), name=f"stop transfer {name}")
        self._stops.add(task)
        task.add_done_callback(self._stops.discard)

    async def _fetch(self, item: Json, job: _Job) -> None:
        outcome, item = await self._bring(item, job)
        if outcome is None:
            return
        said = {key: item[key] for key in ("machine", "fence", "exec")}
        if job.kill is not None:
            self._end(said, job, outcome)
        elif not (outcome.get("ok") or outcome.get("known")):
            failed = {key: outcome.get(key) for key in ("code", "message", "details")}
            now = self._clock.now()
            self._report([{**said, **failed, "t": "exec", "state": "failed", "end_us": now}])
        elif await self._still(item):
            if job.order_to_end() is None:
                start = {
                    key: value for key, value in item.items() if key not in ("fetch", "packages", "refusal")
                }
                self._fleet.send_start([{**start, "adopt": True}])
            else:
                self._end(said, job, outcome)

    def _end(self, said: Json, job: _Job, outcome: Json) -> None:
        """What was ordered to end while its files came: nothing of it runs, unless an earlier start was the same."""
        if outcome.get("known") and job.order is not None:
            self._fleet.send_kill([job.order])
        elif job.kill is not None:
            self._report([{**said, **_killed(job.kill, self._clock.now())}])

    async def _bring(self, item: Json, job: _Job) -> tuple[Json | None, Json]:
        """All that a start needs on its node: the outcome (see `_do`), and the start as it is then sent."""
        if "refusal" in item:
            refused = item["refusal"]
            return {"ok": False, "code": INVALID_SETTINGS, "message": refused, "details": []}, item
        try:
            outcome = await self._do(job, item["fence"], item["exec"], await self._fetch_order(item))
        except NoAutoStorage as error:
            outcome = {"ok": False, "code": "ResourceContainerNotFound", "message": str(error), "details": []}
        if outcome is not None and outcome.get("ok") and item.get("packages"):
            outcome, told = await self._installs.of_task(item, job.stopping)
            item = {**item, "env": {**item["env"], **told}}
        if outcome is None or "container" not in item:
            return outcome, item
        container, problem = agents_container(item["exec"], item["container"], item["env"])
        if container is None:
            return {"ok": False, "code": INVALID_SETTINGS, "message": problem, "details": []}, item
        if outcome.get("ok"):
            work = self._containers.of_task(item)
            outcome = await unless_stopped(work, job.stopping, "its container image was pulled")
        return outcome, {**item, "container": container}

    async def _install(self, install: Install, _: _Job) -> None:
        outcome = await self._installs.all(install.machine, install.fence, install.packages)
        code = PACKAGE_ERROR
        if outcome is not None and outcome.get("ok") and install.containers is not None:
            code = PULL_ERROR
            outcome = await self._containers.of_node(install.machine, install.fence, install.containers)
        if outcome is not None:
            problem = None if outcome.get("ok") else str(outcome["message"])
            said = {"t": "packages", "machine": install.machine, "fence": install.fence, "problem": problem}
            self._report([{**said, "code": code}])

    async def _do_alone(self, machine: str, fence: int, name: str, order: Json) -> Json | None:
        return await self._do(_Job(machine, name, self._clock.now()), fence, name, order)

    async def _still(self, item: Json) -> bool:
        """Whether the execution is still to be started on this life of its machine: a start that comes too late would
        be taken for the sign of a node that is not what it should be."""

        def holds(tx: Tx) -> bool:
            node = tx.nodes.by_machine(item["machine"])
            live = item["kind"] != "task" or item["exec"] in tx.executions.get_many([item["exec"]])
            return live and node is not None and node.fence == item["fence"]

        return await self._store.read(holds)

    async def _deliver(self, upload: Upload, job: _Job) -> None:
        spec, end = upload.spec, upload.end
        items = [_output(file) for file in upload.files]
        order = {"kind": "deliver", "dir": spec.directory, "env": dict(spec.env), "items": items}
        outcome = await self._do(job, spec.fence, spec.name, order)
        if outcome is None:
            return
        said = {"t": "exec", "machine": spec.machine, "fence": spec.fence, "exec": spec.name}
        if job.kill is not None:
            self._report([{**said, **_killed(job.kill, self._clock.now())}])
            return
        ended: dict[str, Any] = {
            "state": "exited",
            "reason": end.reason,
            "exit_code": end.exit_code,
            "signal": end.signal,
        }
        ended |= {
            "message": end.message,
            "details": end.details,
            "start_us": end.started_at,
            "end_us": end.at,
        }
        self._report([{**said, **ended, "delivered": outcome}])

    async def _do(self, job: _Job, fence: int, name: str, order: Json) -> Json | None:
        """The outcome of a job; None when it need not be told, because the machine is gone."""
        if is_simulated(job.machine):
            return {"ok": True}  # nothing runs there, so nothing is missing
        misc = _MISC[order["kind"]]
        said = "the transfer worker ended"
        for tried in range(TRANSFER_TRIES_MAX):
            if tried:
                await asyncio.sleep(min(LAST_WAIT_S, FIRST_WAIT_S * 2 ** (tried - 1)))
            try:
                async with self._room:
                    if job.order_to_end() is not None:
                        return {"ok": False, "code": _STOPPED}
                    limited = {**order, "networks": self._networks}
                    outcome = await self._carrier.run(job.machine, fence, name, limited)
            except NotFound:
                return None
            except EngineError as error:
                said = str(error)
                _log.info("the transfer of %s is begun again: %s", name, said)
                continue
            if job.order_to_end() is not None or outcome.get("code") not in (_WORKER_DIED, _STOPPED):
                return outcome
        return {
            "ok": False,
            "code": misc,
            "message": f"given up after {tried + 1} tries: {said}",
            "details": [],
        }

    async def _fetch_order(self, item: Json) -> Json:
        account = item["env"]["AZ_BATCH_ACCOUNT_NAME"]
        items = [await self._resource(account, file) for file in item["fetch"]]
        order = {"kind": "fetch", "dir": item["dir"], "fresh": item["fresh"], "items": items}
        return {**order, "shared": bool(item.get("shared"))}

    async def _resource(self, account: str, file: ResourceFile) -> Json:
        url = file.address
        if file.source is Source.AUTO_STORAGE:
            url = await self._auto_storage.container_url(account, file.address, write=False)
        kind = "http" if file.source is Source.HTTP else "container"
        return {"from": kind, "url": url, "path": file.path, "prefix": file.prefix, "mode": file.mode}


def _output(file: OutputFile) -> Json:
    headers = [list(pair) for pair in file.headers]
    return {"pattern": file.pattern, "url": file.container, "path": file.path, "headers": headers}


def _killed(reason: str, now: Instant) -> Mapping[str, Any]:
    return {"t": "exec", "state": "exited", "reason": f"killed:{reason}", "end_us": now}


def seconds(since: Instant, now: Instant) -> int:
    """Whole seconds since a moment."""
    return max(0, now - since) // SECOND
