"""Certificates beneath the API: what a node's machine is given of its pool's, and whether one may go."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from poolwright.domain.certificate import Certificate, DeleteFailure
from poolwright.domain.clock import Instant
from poolwright.domain.facts import Fact
from poolwright.domain.node import Node
from poolwright.domain.pool import Pool
from poolwright.domain.states import CERTIFICATE, CertificateState, advance
from poolwright.engines.base import MachineCertificate, MachineRequest
from poolwright.store.base import Tx

_NAMED_MAX = 20
"""Users of a certificate that its error names; the first ones help as much as all."""


def give(
    tx: Tx, pool: Pool, nodes: dict[str, Node], requests: Sequence[tuple[str, MachineRequest]]
) -> list[MachineRequest]:
    """The requests, by node id, each with what the pool refers to now; `nodes` then has rows that say so.

    The row comes first, so a certificate is in use before any machine has it.
    """
    references = pool.spec.certificates
    found = [(one, tx.certificates.get(pool.account, one.thumbprint)) for one in references]
    given = tuple(
        MachineCertificate(kept.file_name, kept.data, kept.password, one.visibility)
        for one, kept in found
        if kept is not None  # it was there when the pool came to refer to it, and may not go while it does
    )
    changed = []
    for id, request in requests:
        if nodes[id].certificates != references:
            nodes[id] = tx.nodes.update(replace(nodes[id], certificates=references))
        changed.append(replace(request, certificates=given) if given else request)
    return changed


def settle(tx: Tx, account: str, thumbprint: str, now: Instant) -> None:
    """Decide the deletion of a certificate, if one was asked for: it goes, unless a pool or a node uses it."""
    found = tx.certificates.get(account, thumbprint)
    if found is None or found.state is not CertificateState.DELETING:
        return
    subject = f"certificate/{thumbprint}"
    failure = _in_use(tx, found)
    if failure is None:
        tx.certificates.delete(account, thumbprint)
        tx.journal.record([Fact(now, "certificate.delete", account, subject)])
        return
    failed = advance(subject, CERTIFICATE, found.state, CertificateState.DELETE_FAILED)
    tx.certificates.put(
        replace(
            found,
            state=failed,
            state_at=now,
            previous_state=found.state,
            previous_at=found.state_at,
            failure=failure,
        )
    )
    tx.journal.record([Fact(now, "certificate.delete.fail", account, subject)])


def _in_use(tx: Tx, certificate: Certificate) -> DeleteFailure | None:
    account, thumbprint = certificate.account, certificate.thumbprint
    pools = [
        pool.id
        for pool in tx.pools.every()
        if pool.account == account and any(one.thumbprint == thumbprint for one in pool.spec.certificates)
    ]
    nodes = tx.certificates.nodes(account, thumbprint, _NAMED_MAX)
    if not pools and not nodes:
        return None
    values = []
    if pools:
        values.append(("Pools", ", ".join(pools[:_NAMED_MAX])))
    if nodes:
        values.append(("Nodes", ", ".join(f"{pool}/{id}" for pool, id in nodes)))
    text = (
        "The certificate is in use. Take it out of the pools' certificateReferences, reboot or remove the nodes that "
        "have it, and delete it again; or cancel the deletion."
    )
    return DeleteFailure("CertificateInUse", text, tuple(values))
