"""Handlers of certificates, which api-versions before 2025-06-01 have."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from poolwright.api.batch.answers import Answer, written
from poolwright.api.batch.call import Call, collect, read_listing
from poolwright.api.batch.certificate_files import FILES
from poolwright.commands import certificates
from poolwright.commands.context import Context
from poolwright.domain.errors import ServiceError
from poolwright.store.base import Tx
from poolwright.wire import filters
from poolwright.wire.convert import certificate as convert
from poolwright.wire.convert.shared import Document
from poolwright.wire.versions import CERTIFICATES_UNTIL


async def create(call: Call) -> Answer:
    """POST /certificates."""
    _check_version(call)
    new = await asyncio.to_thread(convert.read_certificate, call.body, call.account, FILES, call.now)
    made = await call.write(lambda tx: certificates.create(tx, call.context, new))
    address = call.links.certificate(made.thumbprint)
    return written(None, address, address)


async def list_all(call: Call) -> Answer:
    """GET /certificates."""
    _check_version(call)
    listing = read_listing(call, "certificate", filters.CERTIFICATES)

    def query(tx: Tx) -> tuple[list[Document], str | None]:
        return collect(
            listing,
            lambda after, limit: tx.certificates.page(call.account, after, limit),
            lambda one: one.thumbprint,
            lambda one: convert.show_certificate(one, call.links),
        )

    return call.page("certificates", *await call.read(query))


async def get(call: Call) -> Answer:
    """GET /certificates(thumbprintAlgorithm={a},thumbprint={t})."""
    thumbprint = _thumbprint(call)
    found = await call.read(lambda tx: certificates.get(tx, call.account, thumbprint))
    return call.entity("certificate", "certificates", convert.show_certificate(found, call.links))


async def delete(call: Call) -> Answer:
    """DELETE /certificates(thumbprintAlgorithm={a},thumbprint={t})."""
    await _order(call, certificates.delete)
    return Answer()


async def cancel_delete(call: Call) -> Answer:
    """POST /certificates(thumbprintAlgorithm={a},thumbprint={t})/canceldelete."""
    thumbprint = await _order(call, certificates.cancel_delete)
    return written(None, call.links.certificate(thumbprint) + "/canceldelete")


async def _order(call: Call, command: Callable[[Tx, Context, str, str], None]) -> str:
    thumbprint = _thumbprint(call)
    await call.write(lambda tx: command(tx, call.context, call.account, thumbprint))
    return thumbprint


def _thumbprint(call: Call) -> str:
    _check_version(call)
    return convert.read_thumbprint(call.params["thumbprintAlgorithm"], call.params["thumbprint"])


def _check_version(call: Call) -> None:
    if call.version >= CERTIFICATES_UNTIL:
        reason = f"Since {CERTIFICATES_UNTIL} there are no certificates."
        raise ServiceError("InvalidUri", None, (("Reason", reason),))
