"""Handlers of files on nodes, addressed by task or by node."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from poolwright.api.batch.answers import Answer
from poolwright.api.batch.call import Call, Listing, check_read, collect
from poolwright.api.batch.services import (
    DirectoryNotEmpty,
    FileInfo,
    FileMissing,
    FileNotKept,
    Files,
    NodeUnreachable,
    PathRefused,
)
from poolwright.commands import jobs, nodes, pools, tasks
from poolwright.commands.context import Preconditions
from poolwright.domain.errors import ServiceError
from poolwright.domain.job import Job
from poolwright.domain.limits import FILES_LISTED_MAX
from poolwright.domain.node import Node
from poolwright.domain.states import NodeState, TaskState
from poolwright.domain.task import Task
from poolwright.store.base import Tx
from poolwright.wire import filters, odata, paging
from poolwright.wire.convert.shared import Document
from poolwright.wire.convert.task_places import task_directory
from poolwright.wire.files import check_path, file_headers, read_range, show_file

_GOING = (NodeState.LEAVING_POOL, NodeState.PREEMPTED)


@dataclass(frozen=True, slots=True)
class _Place:
    """A directory on a machine whose files are served, and how a file's address is made from its name."""

    files: Files
    machine: str
    directory: str
    url: Callable[[str], str]
    cleaned: bool = False  # the time for which the task's files were kept is over

    def inside(self, path: str) -> str:
        """A path in the directory as the node knows it."""
        return f"{self.directory}/{path}" if self.directory else path


async def _of_task(call: Call) -> _Place:
    params, kept = call.params, call.services.kept_files

    def query(tx: Tx) -> tuple[Job, Task, Node | None]:
        job = jobs.get(tx, call.account, params["jobId"])
        task = tasks.get(tx, call.account, job.id, params["taskId"])
        if task.node is None or task.pool is None or task.state is TaskState.PREPARING:
            raise ServiceError("TaskFilesUnavailable", "The task has not run yet, so it has no files.")
        return job, task, tx.nodes.get(call.account, task.pool, task.node)

    job, task, node = await call.read(query)

    def url(name: str) -> str:
        return call.links.task_file(job.id, task.id, name)

    over = task.ended_at is not None and task.ended_at + task.spec.retention <= call.now
    # A node that was made anew, or goes, may have handed over its files; one that was only rebooted has them still.
    left = node is None or node.fence != task.fence or node.state in _GOING
    if left and kept is not None and task.state is TaskState.COMPLETED and await kept.has(task.execution):
        return _Place(kept, task.execution, "", url, over)
    if node is not None:
        files = call.services.files
        return _Place(files, node.machine, task_directory(job.id, task.id), url, over)
    if over:
        raise ServiceError("TaskFilesCleanedup")
    text = f"The node {task.node} that ran the task has left its pool, and nothing is kept of its files."
    raise ServiceError("TaskFilesUnavailable", text)


async def _of_node(call: Call) -> _Place:
    params = call.params

    def query(tx: Tx) -> _Place:
        pool = pools.get(tx, call.account, params["poolId"])
        node = nodes.with_files(tx, call.account, pool.id, params["nodeId"])
        files = call.services.files
        return _Place(files, node.machine, "", lambda name: call.links.node_file(pool.id, node.id, name))

    return await call.read(query)


@contextmanager
def _told(place: _Place, path: str, missing: str = "FileNotFound") -> Iterator[None]:
    """Errors of the file service as the answers they stand for; `missing` is the code of what is not there."""
    try:
        yield
    except FileMissing:
        if place.cleaned:
            raise ServiceError("TaskFilesCleanedup", None, (("FilePath", path[:200]),)) from None
        raise ServiceError(missing, None, (("FilePath", path[:200]),)) from None
    except FileNotKept as why:
        raise ServiceError("TaskFilesUnavailable", str(why), (("FilePath", path[:200]),)) from None
    except DirectoryNotEmpty:
        full = "The directory is not empty: delete it with recursive=true."
        raise ServiceError("OperationInvalidForCurrentState", full, (("FilePath", path[:200]),)) from None
    except PathRefused as refused:
        values = (("PropertyName", "filePath"), ("PropertyValue", path[:200]), ("Reason", str(refused)))
        raise ServiceError("InvalidInput", None, values) from None
    except NodeUnreachable as away:
        raise ServiceError("NodeNotReady", None, (("Reason", str(away)),)) from None


async def _list(call: Call, place: _Place) -> Answer:
    recursive = call.query.flag("recursive")
    test = odata.read_filter(call.query, filters.FILES)
    listing = Listing("file", paging.read_page(call.query), test, None, call.version)
    with _told(place, place.directory, missing="PathNotFound"):
        prefix = odata.only_prefix(call.query, "name")
        found = await place.files.list(
            place.machine, place.directory, recursive=recursive, prefix=prefix, after=listing.page.after or ""
        )
    entries = {info.name: number for number, info in enumerate(found)}

    def fetch(after: str | None, limit: int) -> Sequence[FileInfo]:
        start = 0 if after is None else entries.get(after, -1) + 1
        return found[start : start + limit]

    def show(info: FileInfo) -> Document:
        return show_file(
            info.name,
            place.url(info.name),
            directory=info.directory,
            size=info.size,
            modified_at=info.modified_at,
            created_at=info.created_at,
            mode=info.mode,
        )

    shown, last = collect(listing, fetch, lambda info: info.name, show)
    if last is None and len(found) >= FILES_LISTED_MAX:
        last = found[-1].name  # the node has more
    return call.page("files", shown, last)


async def _stat(call: Call, place: _Place) -> tuple[str, FileInfo, list[tuple[str, str]]]:
    name = check_path(call.params["filePath"])
    pre = call.conditions
    for header, given in (("if-match", pre.if_match), ("if-none-match", pre.if_none_match)):
        if given is not None:
            values = (("HeaderName", header), ("Reason", "Files have no tags, only times."))
            raise ServiceError("UnsupportedHeader", None, values)
    with _told(place, name):
        info = await place.files.stat(place.machine, place.inside(name))
    check_read(Preconditions(None, None, pre.if_modified_since, pre.if_unmodified_since), info.modified_at)
    headers = file_headers(
        place.url(name),
        name=name,
        directory=info.directory,
        modified_at=info.modified_at,
        created_at=info.created_at,
        mode=info.mode,
    )
    return name, info, headers


async def _head(call: Call, place: _Place) -> Answer:
    _, info, headers = await _stat(call, place)
    size = 0 if info.directory else info.size
    return Answer(headers=[*headers, ("content-length", str(size))])


async def _get(call: Call, place: _Place) -> Answer:
    name, info, headers = await _stat(call, place)
    if info.directory:
        with _told(place, name):
            raise PathRefused("This is a directory, which has no content: list it instead.")
    offset, length = read_range(call.header("ocp-range"), info.size)
    answer = Answer(headers=[*headers, ("content-length", str(length))])
    if length:
        answer.stream = await _opened(place, name, offset, length)
    return answer


async def _opened(place: _Place, name: str, offset: int, length: int) -> AsyncIterator[bytes]:
    """The content, after its first piece came: what fails before that can still be answered properly."""
    pieces = place.files.read(place.machine, place.inside(name), offset, length)
    with _told(place, name):
        first = await anext(pieces, b"")

    async def all_pieces() -> AsyncIterator[bytes]:
        yield first
        async for piece in pieces:
            yield piece

    return all_pieces()


async def _delete(call: Call, place: _Place) -> Answer:
    name, recursive = check_path(call.params["filePath"]), call.query.flag("recursive")
    with _told(place, name):
        await place.files.delete(place.machine, place.inside(name), recursive=recursive)
    return Answer()


async def list_of_task(call: Call) -> Answer:
    """GET /jobs/{jobId}/tasks/{taskId}/files."""
    return await _list(call, await _of_task(call))


async def get_of_task(call: Call) -> Answer:
    """GET /jobs/{jobId}/tasks/{taskId}/files/{filePath}."""
    return await _get(call, await _of_task(call))


async def head_of_task(call: Call) -> Answer:
    """HEAD /jobs/{jobId}/tasks/{taskId}/files/{filePath}."""
    return await _head(call, await _of_task(call))


async def delete_of_task(call: Call) -> Answer:
    """DELETE /jobs/{jobId}/tasks/{taskId}/files/{filePath}."""
    return await _delete(call, await _of_task(call))


async def list_of_node(call: Call) -> Answer:
    """GET /pools/{poolId}/nodes/{nodeId}/files."""
    return await _list(call, await _of_node(call))


async def get_of_node(call: Call) -> Answer:
    """GET /pools/{poolId}/nodes/{nodeId}/files/{filePath}."""
    return await _get(call, await _of_node(call))


async def head_of_node(call: Call) -> Answer:
    """HEAD /pools/{poolId}/nodes/{nodeId}/files/{filePath}."""
    return await _head(call, await _of_node(call))


async def delete_of_node(call: Call) -> Answer:
    """DELETE /pools/{poolId}/nodes/{nodeId}/files/{filePath}."""
    return await _delete(call, await _of_node(call))
