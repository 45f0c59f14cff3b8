"""Handlers of nodes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from poolwright.api.batch import endpoints
from poolwright.api.batch.answers import Answer, json_answer, written
from poolwright.api.batch.call import Call, collect, read_listing
from poolwright.commands import nodes, pools
from poolwright.domain.clock import Instant
from poolwright.domain.errors import ServiceError
from poolwright.domain.marketplace import find
from poolwright.domain.multi_instance import Subtask
from poolwright.domain.node import Node
from poolwright.domain.pool import ImageReference, Pool
from poolwright.domain.task import Task
from poolwright.store.base import Tx
from poolwright.wire import filters
from poolwright.wire.convert import node as convert
from poolwright.wire.convert.shared import Document

_RECENT_TASKS = 10  # shown per node by the public service


class _Shower:
    """Renders nodes of one pool inside one transaction, reading what they share once."""

    def __init__(self, tx: Tx, pool: Pool, call: Call) -> None:
        self._tx, self._pool, self._call = tx, pool, call
        self._slots = tx.executions.slots(pool.account, pool.id)
        self._running = Counter(execution.node for execution in tx.executions.of_pool(pool.account, pool.id))
        self._jobs: dict[int, str | None] = {}
        self._exact_version = _exact_version(pool.spec.image, call)
        self.nodes: dict[str, Node] = {}  # shown, and open to remote login

    def show(self, node: Node) -> Document:
        """One node's document."""
        running = (self._running[node.id], self._slots.get(node.id, 0))
        shown = convert.show_node(
            node, self._pool, running, self._recent(node), self._call.links, self._exact_version
        )
        inbound = endpoints.mapped(self._call, node, self._pool)
        if inbound:
            shown["endpointConfiguration"] = {"inboundEndpoints": inbound}
        if self._pool.spec.network.public:
            self.nodes[node.id] = node
        return shown

    def _recent(self, node: Node) -> Sequence[convert.Recent]:
        """The newest tasks and subtasks that ran on the node, the last first."""
        ran: list[tuple[Instant, Task, Subtask | None]] = [
            (task.started_at or 0, task, None)
            for task in self._tx.tasks.recent_of_node(node.account, node.pool, node.id, _RECENT_TASKS)
        ]
        if self._pool.spec.inter_node:
            rows = self._tx.subtasks.recent_of_machine(node.machine, _RECENT_TASKS)
            tasks = self._tx.tasks.by_pks([row.task_pk for row in rows])
            ran += [(row.started_at, tasks[row.task_pk], row) for row in rows]
            ran.sort(key=lambda one: -one[0])
        named = ((self._job(task.job_pk), task, subtask) for _, task, subtask in ran[:_RECENT_TASKS])
        return [convert.Recent(job, task, subtask) for job, task, subtask in named if job is not None]

    def _job(self, pk: int) -> str | None:
        if pk not in self._jobs:
            job = self._tx.jobs.by_pk(pk)
            self._jobs[pk] = job.id if job else None
        return self._jobs[pk]


def _exact_version(image: ImageReference, call: Call) -> str | None:
    """The version that nodes of a marketplace image are made from now."""
    if image.custom:
        return None
    publisher, offer, sku = image.publisher or "", image.offer or "", image.sku or ""
    found = find(call.services.catalogue(), publisher, offer, sku, image.version or "latest")
    return None if found is None else found.image.version


async def list_all(call: Call) -> Answer:
    """GET /pools/{poolId}/nodes."""
    listing = read_listing(call, "node", filters.NODES)

    def query(tx: Tx) -> tuple[list[Document], str | None, dict[str, Node]]:
        pool = pools.get(tx, call.account, call.params["poolId"])
        shower = _Shower(tx, pool, call)
        found, after = collect(
            listing,
            lambda after, limit: tx.nodes.page(call.account, pool.id, after, limit),
            lambda node: node.id,
            shower.show,
        )
        return found, after, shower.nodes

    documents, after, shown = await call.read(query)
    await endpoints.add_logins(call, documents, shown, listing.names)
    return call.page("nodes", documents, after)


async def get(call: Call) -> Answer:
    """GET /pools/{poolId}/nodes/{nodeId}."""

    def query(tx: Tx) -> tuple[Document, dict[str, Node]]:
        pool = pools.get(tx, call.account, call.params["poolId"])
        shower = _Shower(tx, pool, call)
        return shower.show(nodes.get(tx, call.account, pool.id, call.params["nodeId"])), shower.nodes

    document, shown = await call.read(query)
    await endpoints.add_logins(call, [document], shown, call.select("node"))
    return call.entity("node", "nodes", document)


async def history(call: Call) -> Answer:
    """GET /pools/{poolId}/nodes/{nodeId}/history, our extension: the node's moves and the phases of its life."""
    params = call.params
    node = await call.read(lambda tx: nodes.get(tx, call.account, params["poolId"], params["nodeId"]))
    return json_answer(
        {
            "odata.metadata": call.links.metadata("nodehistory"),
            "value": convert.show_history(node),
            "phases": convert.show_phases(node),
            "phasesMs": node.phases_ms,
            "notes": node.notes,
        }
    )


async def reboot(call: Call) -> Answer:
    """POST /pools/{poolId}/nodes/{nodeId}/reboot."""
    option, params = convert.read_reboot(call.body), call.params
    await call.write(
        lambda tx: nodes.reboot(tx, call.context, call.account, params["poolId"], params["nodeId"], option)
    )
    return written(None, call.url)


async def reimage(call: Call) -> Answer:
    """POST /pools/{poolId}/nodes/{nodeId}/reimage."""
    option, params = convert.read_reimage(call.body), call.params
    await call.write(
        lambda tx: nodes.reimage(tx, call.context, call.account, params["poolId"], params["nodeId"], option)
    )
    return written(None, call.url)


async def deallocate(call: Call) -> Answer:
    """POST /pools/{poolId}/nodes/{nodeId}/deallocate."""
    option, params = convert.read_deallocate(call.body), call.params
    await call.write(
        lambda tx: nodes.deallocate(
            tx, call.context, call.account, params["poolId"], params["nodeId"], option
        )
    )
    return written(None, call.url)


async def start(call: Call) -> Answer:
    """POST /pools/{poolId}/nodes/{nodeId}/start."""
    params = call.params
    await call.write(
        lambda tx: nodes.start(tx, call.context, call.account, params["poolId"], params["nodeId"])
    )
    return written(None, call.url)


async def disable_scheduling(call: Call) -> Answer:
    """POST /pools/{poolId}/nodes/{nodeId}/disablescheduling."""
    option, params = convert.read_disable_scheduling(call.body), call.params
    await call.write(
        lambda tx: nodes.disable_scheduling(
            tx, call.context, call.account, params["poolId"], params["nodeId"], option
        )
    )
    return written(None, call.url)


async def enable_scheduling(call: Call) -> Answer:
    """POST /pools/{poolId}/nodes/{nodeId}/enablescheduling."""
    params = call.params
    await call.write(
        lambda tx: nodes.enable_scheduling(tx, call.context, call.account, params["poolId"], params["nodeId"])
    )
    return written(None, call.url)


async def list_extensions(call: Call) -> Answer:
    """GET /pools/{poolId}/nodes/{nodeId}/extensions: none, because pools with extensions are refused."""
    params = call.params
    await call.read(lambda tx: nodes.get(tx, call.account, params["poolId"], params["nodeId"]))
    return call.page("nodeextensions", [], None)


async def get_extension(call: Call) -> Answer:
    """GET /pools/{poolId}/nodes/{nodeId}/extensions/{extensionName}: see `list_extensions`."""
    params = call.params
    await call.read(lambda tx: nodes.get(tx, call.account, params["poolId"], params["nodeId"]))
    values = (("ExtensionName", params["extensionName"][:256]),)
    raise ServiceError("ResourceNotFound", "The node has no such extension.", values)


async def remote_desktop(call: Call) -> Answer:
    """GET /pools/{poolId}/nodes/{nodeId}/rdp of older versions: only nodes of cloud services had it."""
    await call.read(lambda tx: nodes.get(tx, call.account, call.params["poolId"], call.params["nodeId"]))
    reason = "Only nodes of cloud service pools have a remote desktop file; ask for remoteloginsettings."
    raise ServiceError("OperationNotValidOnNode", None, (("Reason", reason),))


async def preempt(call: Call) -> Answer:
    """POST /pools/{poolId}/nodes/{nodeId}/preempt: our extension, takes a low-priority node away."""
    params = call.params
    await call.write(
        lambda tx: nodes.preempt(tx, call.context, call.account, params["poolId"], params["nodeId"])
    )
    return written(None, call.url)
