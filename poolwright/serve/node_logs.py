"""Logs of nodes: gathered from the rows and the host agent, uploaded in the background."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Sequence
from typing import Any

from poolwright.api.batch.services import NodeUnreachable
from poolwright.domain.clock import Clock, Ids
from poolwright.domain.facts import Fact
from poolwright.domain.limits import LOG_UPLOADS_MAX
from poolwright.domain.node import Node
from poolwright.domain.node_logs import LogRequest, LogUpload
from poolwright.engines.base import EngineError
from poolwright.engines.hub import AgentHub
from poolwright.serve.transfers import HubCarrier
from poolwright.wire.times import iso

_log = logging.getLogger(__name__)
_CALL_S = 30.0


class NodeLogUploads:
    """See api/batch/services.py, NodeLogs."""

    def __init__(
        self, hub: AgentHub, carrier: HubCarrier, clock: Clock, ids: Ids, networks: Sequence[str] | None
    ) -> None:
        self._hub = hub
        self._carrier = carrier
        self._clock = clock
        self._ids = ids
        self._networks = networks
        self._running: set[asyncio.Task[None]] = set()

    async def upload(self, node: Node, facts: Sequence[Fact], request: LogRequest) -> LogUpload:
        """Begin an upload of the files that have something of the time asked for."""
        if len(self._running) >= LOG_UPLOADS_MAX:
            raise NodeUnreachable(f"{LOG_UPLOADS_MAX} uploads of logs run already")
        if not self._hub.connected:
            raise NodeUnreachable("the host agent is not there")
        directory = f"{node.pool}/{node.id}/{self._ids.uuid()}"
        if not overlaps(node, request, self._clock.now()):
            return LogUpload(directory, 0)
        try:
            told = await self._hub.call("logs", {"machine": node.machine}, _CALL_S)
        except EngineError as error:
            raise NodeUnreachable(str(error)) from None
        texts = [["node.log", node_log(node, facts)], *told["files"]]
        job = {"kind": "logs", "url": request.container, "prefix": directory, "texts": texts}
        task = asyncio.create_task(self._send(node, {**job, "networks": self._networks}), name="node logs")
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return LogUpload(directory, len(texts))

    async def _send(self, node: Node, job: dict[str, Any]) -> None:
        try:
            outcome = await self._carrier.run(node.machine, node.fence, f"l{self._ids.uuid()}", job)
        except EngineError as error:
            outcome = {"ok": False, "message": str(error)}
        if not outcome.get("ok"):
            _log.warning("logs of node %s could not be uploaded: %s", node.id, outcome.get("message"))

    async def close(self) -> None:
        """Give up what is under way."""
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
