"""Logs of nodes: gathered from the rows and the host agent, uploaded in the background."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Mapping, Sequence
from typing import Any

from poolwright.api.batch.services import NodeUnreachable
from poolwright.domain.clock import HOUR, Clock, Ids, Micros
from poolwright.domain.facts import Fact
from poolwright.domain.limits import LOG_UPLOADS_MAX
from poolwright.domain.node import Node
from poolwright.domain.node_logs import LogRequest, LogUpload, PromisedLogs
from poolwright.domain.transfer import USER_CODES
from poolwright.engines.base import EngineError
from poolwright.engines.hub import AgentHub
from poolwright.reconcile.transfers import Carrier
from poolwright.store.base import Store
from poolwright.wire.times import iso

_log = logging.getLogger(__name__)
_CALL_S = 30.0
_PATIENCE: Micros = 24 * HOUR  # then the address is likely to have ended
_TRIES = 5  # of what the server refuses
_LAST_WAIT_S = 60.0
_LOST = "AgentLost"
_AGAIN = frozenset(
    {_LOST, "WorkerDied", "Stopped"}
)  # no word of the server's: tried for as long as there is patience


class NodeLogUploads:
    """See api/batch/services.py, NodeLogs. What was promised is a row until it is done, so a restart goes on with it;
    an upload that is repeated replaces its own blobs."""

    def __init__(
        self,
        store: Store,
        hub: AgentHub,
        carrier: Carrier,
        clock: Clock,
        ids: Ids,
        networks: Sequence[str] | None,
        first_wait_s: float = 2.0,
    ) -> None:
        """`first_wait_s`: before the second try; doubled before each that follows, up to a minute."""
        self._store = store
        self._first_wait_s = first_wait_s
        self._hub = hub
        self._carrier = carrier
        self._clock = clock
        self._ids = ids
        self._networks = networks
        self._running: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        """Go on with what an earlier end left undone."""
        for promised in await self._store.read(lambda tx: tx.log_uploads.all()):
            self._start(promised)

    async def upload(self, node: Node, facts: Sequence[Fact], request: LogRequest) -> LogUpload:
        """Begin an upload of the files that have something of the time asked for."""
        if len(self._running) >= LOG_UPLOADS_MAX:
            raise NodeUnreachable(f"{LOG_UPLOADS_MAX} uploads of logs run already")
        self._check_agent()
        directory = f"{node.pool}/{node.id}/{self._ids.uuid()}"
        if not overlaps(node, request, self._clock.now()):
            return LogUpload(directory, 0)
        texts = await self.texts(node, facts)
        job = {"kind": "logs", "url": request.container, "prefix": directory, "texts": texts}
        promised = PromisedLogs(
            f"l{self._ids.uuid()}",
            node.id,
            node.machine,
            node.fence,
            json.dumps(job).encode(),
            self._clock.now(),
        )
        await self._store.write(lambda tx: tx.log_uploads.insert(promised))
        self._start(promised)
        return LogUpload(directory, len(texts))

    async def texts(self, node: Node, facts: Sequence[Fact]) -> list[tuple[str, str]]:
        """See api/batch/services.py, NodeLogs."""
        self._check_agent()
        try:
            told = await self._hub.call("logs", {"machine": node.machine}, _CALL_S)
        except EngineError as error:
            raise NodeUnreachable(str(error)) from None
        return [
            ("node.log", node_log(node, facts)),
            *((str(name), str(text)) for name, text in told["files"]),
        ]

    def _check_agent(self) -> None:
        if not self._hub.connected:
            raise NodeUnreachable("the host agent is not there")

    def _start(self, promised: PromisedLogs) -> None:
        task = asyncio.create_task(self._send(promised), name="node logs")
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _send(self, promised: PromisedLogs) -> None:
        failed = 0
        while True:
            outcome = await self._try(promised)
            failed += 1
            code = str(outcome.get("code"))
            old = self._clock.now() - promised.promised_at > _PATIENCE
            if outcome.get("ok") or code in USER_CODES or old or (code not in _AGAIN and failed >= _TRIES):
                break
            await asyncio.sleep(min(_LAST_WAIT_S, self._first_wait_s * 2 ** min(failed - 1, 10)))
        if not outcome.get("ok"):
            _log.warning("logs of node %s could not be uploaded: %s", promised.node, outcome.get("message"))
        await self._store.write(lambda tx: tx.log_uploads.delete(promised.id))

    async def _try(self, promised: PromisedLogs) -> Mapping[str, Any]:
        job = {**json.loads(promised.job), "networks": self._networks}
        try:
            return await self._carrier.run(promised.machine, promised.fence, promised.id, job)
        except EngineError as error:
            return {"ok": False, "code": _LOST, "message": str(error)}

    async def close(self) -> None:
        """Let go; what is not done goes on at the next start."""
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)


def overlaps(node: Node, request: LogRequest, now: int) -> bool:
    """Whether the node existed in the time asked for: its logs reach from its allocation to this moment."""
    return request.start <= now and (request.end is None or request.end >= node.allocated_at)


def node_log(node: Node, facts: Sequence[Fact]) -> str:
    """What the service knows of the node, oldest first: its states with reasons, and what was done to it."""
    lines = [(at, f"{state}: {reason}") for at, state, reason in node.history]
    lines += [(fact.at, f"{fact.kind} {json.dumps(dict(fact.detail), sort_keys=True)}") for fact in facts]
    text = "".join(f"{iso(at)} {line}\n" for at, line in sorted(lines))
    errors = "".join(f"error {error.code}: {error.message}\n" for error in node.errors)
    return text + errors + "".join(f"note: {note}\n" for note in node.notes)
