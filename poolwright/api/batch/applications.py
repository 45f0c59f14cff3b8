"""Handlers of applications: what nodes and tasks may refer to."""

from __future__ import annotations

from poolwright.api.batch.answers import Answer, json_answer, validators
from poolwright.api.batch.call import Call, Listing, collect
from poolwright.commands import applications
from poolwright.domain.clock import Instant
from poolwright.domain.package import Application
from poolwright.store.base import Tx
from poolwright.wire import paging
from poolwright.wire.convert.package import show_application
from poolwright.wire.convert.shared import Document


async def list_all(call: Call) -> Answer:
    """GET /applications: those with at least one activated version."""
    listing = Listing("application", paging.read_page(call.query), None, None, call.version)

    def query(tx: Tx) -> tuple[list[Document], str | None]:
        def fetch(after: str | None, limit: int) -> list[tuple[Application, list[str]]]:
            return applications.usable(tx, call.account, after, limit)

        return collect(listing, fetch, lambda one: one[0].id, lambda one: show_application(*one))

    return call.page("applications", *await call.read(query))


async def get(call: Call) -> Answer:
    """GET /applications/{applicationId}."""

    def query(tx: Tx) -> tuple[Document, Instant]:
        application, versions = applications.usable_one(tx, call.account, call.params["applicationId"])
        return show_application(application, versions), application.modified_at

    document, modified_at = await call.read(query)
    named = {"odata.metadata": call.links.metadata("applications/@Element"), **document}
    return json_answer(named, validators(modified_at))
