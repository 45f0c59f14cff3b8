"""What the data plane needs from the rest of the house, handed to it by the composition root."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

from poolwright.api.auth import DEFAULT_ROLES, Principal, RoleBook
from poolwright.api.auth.requests import Scope
from poolwright.api.batch.feed import Feed
from poolwright.domain.catalogue import SUPPORTED_IMAGES, SupportedImage
from poolwright.domain.clock import Clock, Ids, Instant
from poolwright.domain.facts import Explanation, Fact
from poolwright.domain.limits import Settings
from poolwright.domain.marketplace import Catalogue
from poolwright.domain.node import Node
from poolwright.domain.node_logs import LogRequest, LogUpload
from poolwright.store.base import Store


class Authenticator(Protocol):
    """Finds out who is calling."""

    def __call__(self, scope: Scope, account: str | None) -> Principal:
        """The caller of a request whose address named `account` (or none). Raises AuthError."""
        ...


class AccountDirectory(Protocol):
    """The names of the batch accounts there are; asked for every request, so it answers from memory."""

    def find(self, name: str) -> str | None:
        """The stored spelling of an account's name (compared without regard to case), or None."""
        ...

    def default(self) -> str | None:
        """The account meant when a request names none: the only one, or the configured one."""
        ...


@dataclass(frozen=True, slots=True)
class FileInfo:
    """A file or directory on a node. `name` is relative to the directory asked for, with `/` between parts."""

    name: str
    directory: bool
    size: int
    modified_at: Instant
    mode: int
    created_at: Instant | None = None


class FileMissing(Exception):
    """There is nothing at this path."""


class PathRefused(Exception):
    """The path leads out of the node's directory, or what is there cannot be served; the message says which."""


class DirectoryNotEmpty(PathRefused):
    """The directory has something in it."""


class FileNotKept(Exception):
    """The node has gone, and the file was not kept; the message says why."""


class NodeUnreachable(Exception):
    """The node does not answer now; the message says why."""


class Files(Protocol):
    """Files of nodes. Paths are relative to the node's root directory; every method raises the errors above."""

    async def list(
        self, machine: str, directory: str, *, recursive: bool, prefix: str, after: str
    ) -> Sequence[FileInfo]:
        """What is in a directory, whose name starts with `prefix`, by the parts of its path; what comes behind `after`.

        At most FILES_LISTED_MAX at a time.
        """
        ...

    async def stat(self, machine: str, path: str) -> FileInfo: ...

    def read(self, machine: str, path: str, offset: int, length: int) -> AsyncIterator[bytes]:
        """`length` bytes from `offset` on, in pieces; fewer when the file is shorter by now."""
        ...

    async def delete(self, machine: str, path: str, *, recursive: bool) -> None:
        """Remove a file or directory. DirectoryNotEmpty for a full directory, unless `recursive`."""
        ...


class KeptFiles(Files, Protocol):
    """Files of tasks whose node has gone. In place of a machine stands the name of an execution, whose files are
    relative to its task's directory."""

    async def has(self, execution: str) -> bool:
        """Whether something is kept of it."""
        ...


class Explainer(Protocol):
    """Says why something waits or failed. Each method raises ServiceError when the noun does not exist."""

    async def pool(self, account: str, pool: str) -> Sequence[Explanation]: ...

    async def node(self, account: str, pool: str, node: str) -> Sequence[Explanation]: ...

    async def task(self, account: str, job: str, task: str) -> Sequence[Explanation]: ...

    async def job(self, account: str, job: str) -> Sequence[Explanation]: ...

    async def job_schedule(self, account: str, schedule: str) -> Sequence[Explanation]: ...


class Doors(Protocol):
    """Ways to the SSH ports of nodes from outside their network."""

    async def open(self, account: str, pool: str, node: str, machine: str) -> int:
        """The port of this host that leads to the node's SSH server; the same again while it is open.

        Raises NodeUnreachable.
        """
        ...

    async def offer(self, account: str, pool: str, node: str, machine: str) -> int | None:
        """As `open`, but no door of another node is given up for it; None when there is no room."""
        ...


class NodeLogs(Protocol):
    """Uploads of the logs of nodes."""

    async def upload(self, node: Node, facts: Sequence[Fact], request: LogRequest) -> LogUpload:
        """Begin an upload; `facts` are the journal's of the node, newest first. Raises NodeUnreachable."""
        ...

    async def texts(self, node: Node, facts: Sequence[Fact]) -> Sequence[tuple[str, str]]:
        """The logs as they are now: names of files and what is in them. Raises NodeUnreachable."""
        ...


@dataclass(frozen=True, slots=True)
class BatchServices:
    """Everything the handlers use. `endpoint` (`https://host:port`) stands in where a request has no Host header."""

    store: Store
    clock: Clock
    ids: Ids
    settings: Settings
    accounts: AccountDirectory
    authenticate: Authenticator
    files: Files
    explain: Explainer
    endpoint: str
    images: Sequence[SupportedImage] = SUPPORTED_IMAGES
    doors: Doors | None = None
    catalogue: Catalogue = list  # marketplace images this host has or can build
    node_logs: NodeLogs | None = None
    kept_files: KeptFiles | None = None
    intake: Callable[[], str | None] = lambda: None  # why nothing new is taken in now
    class_intake: Callable[[Collection[str]], str | None] = lambda _: (
        None
    )  # the same for disks of these types
    feed: Feed | None = None
    meter: Callable[[str, int, float], None] = lambda _operation, _status, _seconds: None
    roles: RoleBook = DEFAULT_ROLES
