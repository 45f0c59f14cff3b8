"""One request of the data plane, authenticated and read, as handlers see it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from poolwright.api.auth import Principal, batch_target, permission, require
from poolwright.api.auth.requests import Scope, header_values
from poolwright.api.batch.answers import Answer, Header, json_answer, validators
from poolwright.api.batch.services import BatchServices
from poolwright.commands.context import Caller, Context, Preconditions
from poolwright.domain.clock import Instant
from poolwright.domain.errors import ServiceError
from poolwright.store.base import Tx
from poolwright.wire import filters, odata, paging
from poolwright.wire.conditions import CONDITIONAL, Conditions, read_conditions
from poolwright.wire.convert.shared import Document
from poolwright.wire.errors import error_item
from poolwright.wire.generated.batch_fields import MEMBERS
from poolwright.wire.links import Links
from poolwright.wire.query import Query
from poolwright.wire.versions import ApiVersion, shape

T = TypeVar("T")

_SCAN_MAX = 10_000
"""Rows one filtered page may look at; beyond that the page ends early with a link to the rest."""
_SCAN_STEP = 500


class NotModified(Exception):
    """The client has the newest state already (304)."""

    def __init__(self, modified_at: Instant) -> None:
        super().__init__()
        self.modified_at = modified_at


def check_read(conditions: Preconditions, modified_at: Instant) -> None:
    """Raises NotModified, or ConditionNotMet (412)."""
    if conditions.check_read(modified_at):
        raise NotModified(modified_at)


@dataclass(frozen=True, slots=True)
class Call:
    """A request. `url` is its address without the query."""

    services: BatchServices
    scope: Scope
    account: str
    principal: Principal
    params: dict[str, str]
    query: Query
    version: ApiVersion
    links: Links
    url: str
    body: bytes
    request_id: str
    now: Instant

    def header(self, name: str) -> str | None:
        """A request header by its lower-case name; the first where there are several."""
        values = header_values(self.scope, name.encode())
        return values[0] if values else None

    @property
    def context(self) -> Context:
        """Who asks and when, for commands."""
        services = self.services
        shared = self.principal.kind == "sharedkey"
        caller = Caller("sharedkey" if shared else "token", self.principal.name)
        return Context(services.clock, services.ids, services.settings, caller)

    @property
    def conditions(self) -> Conditions:
        """The conditional headers. Raises ServiceError."""
        return read_conditions(self.header)

    def unconditional(self) -> None:
        """Raises UnsupportedHeader: the operation takes no conditional headers."""
        for name in CONDITIONAL:
            value = self.header(name)
            if value:
                reason = "This operation takes no conditions."
                values = (("HeaderName", name), ("HeaderValue", value[:100]), ("Reason", reason))
                raise ServiceError("UnsupportedHeader", None, values)

    @property
    def preconditions(self) -> Preconditions:
        """The same, for commands."""
        given = self.conditions
        return Preconditions(
            given.if_match, given.if_none_match, given.if_modified_since, given.if_unmodified_since
        )

    def also_needs(self, spelling: str) -> None:
        """A right the operation needs because of what its body asks for. Raises AuthError (403)."""
        target = batch_target(self.account, self.params.get("jobId"))
        require(self.principal, permission(spelling), target, self.services.roles)

    async def read(self, fn: Callable[[Tx], T]) -> T:
        """Run a query on a consistent snapshot."""
        return await self.services.store.read(fn)

    async def write(self, fn: Callable[[Tx], T]) -> T:
        """Run a command; resolves when it is durable."""
        return await self.services.store.write(fn)

    def select(self, kind: str) -> frozenset[str] | None:
        """The members `$select` asks for, after a look at `$expand`."""
        odata.check_expand(self.query)
        return odata.read_select(self.query, MEMBERS[kind])

    def entity(
        self, kind: str, plural: str, document: Document, modified_at: Instant | None = None
    ) -> Answer:
        """One entity, with the members that were selected."""
        shaped = odata.selected(shape(kind, document, self.version), self.select(kind))
        headers: Sequence[Header] = () if modified_at is None else validators(modified_at)
        return json_answer({"odata.metadata": self.links.metadata(f"{plural}/@Element"), **shaped}, headers)

    def page(self, plural: str, items: Iterable[Document], after: str | None) -> Answer:
        """A page of a list; `after` names its last item when there are more."""
        document: Document = {"odata.metadata": self.links.metadata(plural), "value": list(items)}
        if after is not None:
            document["odata.nextLink"] = paging.next_link(self.url, self.query, after)
        return json_answer(document)

    def error_item(self, error: ServiceError) -> Document:
        """An error as one item of a collection's answer."""
        return error_item(error.code, error.message, error.values, self.request_id, self.now)


@dataclass(frozen=True, slots=True)
class Listing:
    """How a list was asked for."""

    kind: str
    page: paging.Page
    test: odata.Predicate | None
    names: frozenset[str] | None
    version: ApiVersion
    prefix: str = ""  # in lower case; when it is all that the filter asks for, rows without it need no look


def read_listing(call: Call, kind: str, fields: filters.Fields) -> Listing:
    """The page, filter and selection of a list of pools, nodes, jobs or tasks. Raises ServiceError."""
    test = odata.read_filter(call.query, fields)
    prefix = odata.only_prefix(call.query, "id").lower() if "id" in fields else ""
    return Listing(kind, paging.read_page(call.query), test, call.select(kind), call.version, prefix)


def collect(
    listing: Listing,
    fetch: Callable[[str | None, int], Sequence[T]],
    name: Callable[[T], str],
    show: Callable[[T], Document],
) -> tuple[list[Document], str | None]:
    """A page of documents, and the name of the last row looked at when more may follow.

    `fetch(after, limit)` reads rows in order, `name` is what a row is continued after.
    """
    limit, after, test = listing.page.limit, listing.page.after, listing.test
    if listing.prefix:
        after = max((after or "").lower(), _before(listing.prefix))
    found: list[Document] = []
    looked_at = 0
    while looked_at < _SCAN_MAX:
        # One row more than wanted tells whether there is a next page.
        step = limit - len(found) + 1 if test is None else _SCAN_STEP
        rows = fetch(after, step)
        for row in rows:
            if len(found) == limit:
                return found, after
            if listing.prefix and not name(row).lower().startswith(listing.prefix):
                return found, None
            document = show(row)
            if test is None or test(document):
                found.append(odata.selected(shape(listing.kind, document, listing.version), listing.names))
            after = name(row)
        if len(rows) < step:
            return found, None
        looked_at += len(rows)
    return found, after


def _before(prefix: str) -> str:
    """What every id with the prefix, and nearly none before these, comes after (ids are ASCII, ordered as bytes)."""
    return prefix[:-1] + chr(max(0, ord(prefix[-1]) - 1)) + "\x7f"
