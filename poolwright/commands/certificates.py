"""Certificates: what a caller may do with them, and which ones a pool may refer to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from poolwright.commands import accounts
from poolwright.commands.context import Context, record, wake
from poolwright.domain.certificate import Certificate, CertificateReference
from poolwright.domain.errors import ServiceError
from poolwright.domain.limits import CERTIFICATES_MAX
from poolwright.domain.states import CERTIFICATE, CertificateState, advance
from poolwright.store.base import Tx


def create(tx: Tx, ctx: Context, certificate: Certificate) -> Certificate:
    """Keep a new certificate. Raises 409 CertificateExists, CertificateBeingDeleted; OperationInvalidForCurrentState
    (409) when the account has as many as it may."""
    account = accounts.get(tx, certificate.account).name
    existing = tx.certificates.get(account, certificate.thumbprint)
    if existing is not None:
        deleting = existing.state is CertificateState.DELETING
        raise ServiceError("CertificateBeingDeleted" if deleting else "CertificateExists")
    if tx.certificates.count(account) >= CERTIFICATES_MAX:
        reason = f"The account has {CERTIFICATES_MAX} certificates already, which is its limit."
        raise ServiceError("OperationInvalidForCurrentState", None, (("Reason", reason),))
    made = replace(certificate, account=account)
    tx.certificates.put(made)
    record(tx, ctx, account, _subject(made), "certificate.create")
    return made


def get(tx: Tx, account: str, thumbprint: str) -> Certificate:
    """Raises CertificateNotFound (404)."""
    found = tx.certificates.get(account, thumbprint.lower())
    if found is None:
        raise ServiceError("CertificateNotFound", None, (("Thumbprint", thumbprint[:100]),))
    return found


def delete(tx: Tx, ctx: Context, account: str, thumbprint: str) -> None:
    """Begin to delete it (also once more, after that failed); reconcile/certificates.py decides. Raises 404, 409
    CertificateBeingDeleted."""
    found = get(tx, account, thumbprint)
    if found.state is CertificateState.DELETING:
        raise ServiceError("CertificateBeingDeleted")
    _move(tx, ctx, found, CertificateState.DELETING, "certificate.delete.start")
    wake(tx, "certificate", found.account, found.thumbprint)


def cancel_delete(tx: Tx, ctx: Context, account: str, thumbprint: str) -> None:
    """Use it again after its deletion failed. Raises 404, 409 CertificateStateActive, CertificateBeingDeleted."""
    found = get(tx, account, thumbprint)
    if found.state is CertificateState.ACTIVE:
        raise ServiceError("CertificateStateActive")
    if found.state is CertificateState.DELETING:
        raise ServiceError("CertificateBeingDeleted")
    _move(tx, ctx, found, CertificateState.ACTIVE, "certificate.delete.cancel")


def check_references(tx: Tx, account: str, references: Sequence[CertificateReference]) -> None:
    """A pool may refer to these. Raises 409 InvalidCertificateReferences, CertificateBeingDeleted."""
    problems: list[tuple[str, str]] = []
    for one in references:
        found = tx.certificates.get(account, one.thumbprint)
        if found is None:
            problems.append((one.thumbprint, "The specified certificate does not exist."))
        elif found.state is CertificateState.DELETING:
            raise ServiceError("CertificateBeingDeleted", None, (("Thumbprint", one.thumbprint),))
        elif found.state is not CertificateState.ACTIVE:
            problems.append((one.thumbprint, "Its deletion was asked for; cancel that before new uses."))
    if problems:
        raise ServiceError("InvalidCertificateReferences", None, problems)


def _move(tx: Tx, ctx: Context, before: Certificate, state: CertificateState, kind: str) -> None:
    advance(f"certificate {before.thumbprint}", CERTIFICATE, before.state, state)
    tx.certificates.put(
        replace(
            before,
            state=state,
            state_at=ctx.now,
            previous_state=before.state,
            previous_at=before.state_at,
            failure=None,
        )
    )
    record(tx, ctx, before.account, _subject(before), kind)


def _subject(certificate: Certificate) -> str:
    return f"certificate/{certificate.thumbprint}"
