"""Certificates in the store."""

from __future__ import annotations

from dataclasses import replace

from poolwright.domain.certificate import Certificate, CertificateReference, DeleteFailure
from poolwright.domain.states import CertificateState
from poolwright.store.base import Store
from tests.contract.store.values import node, pool, put

A = "acct"
ONE = Certificate(A, "a" * 40, "pfx", "DER", CertificateState.ACTIVE, 1, "PFX", "secret")


async def test_they_are_kept_whole_and_only_their_state_changes(store: Store) -> None:
    await store.write(lambda tx: tx.certificates.put(ONE))
    other = replace(ONE, thumbprint="b" * 40, format="cer", password=None)
    await store.write(lambda tx: tx.certificates.put(other))
    assert await store.read(lambda tx: tx.certificates.page(A, None, 9)) == [ONE, other]
    assert await store.read(lambda tx: tx.certificates.page(A, ONE.thumbprint, 9)) == [other]
    failure = DeleteFailure("CertificateInUse", "m", (("Pools", "p"),))
    changed = replace(
        ONE,
        state=CertificateState.DELETING,
        state_at=2,
        previous_state=CertificateState.ACTIVE,
        previous_at=1,
        failure=failure,
    )
    await store.write(lambda tx: tx.certificates.put(replace(changed, data="another", password=None)))
    assert await store.read(lambda tx: tx.certificates.get(A, ONE.thumbprint)) == changed
    assert await store.read(lambda tx: tx.certificates.deleting()) == [(A, ONE.thumbprint)]
    await store.write(lambda tx: tx.certificates.delete(A, ONE.thumbprint))
    assert await store.read(lambda tx: tx.certificates.count(A)) == 1
    await store.write(lambda tx: tx.certificates.delete_account(A))
    assert await store.read(lambda tx: tx.certificates.count(A)) == 0


async def test_nodes_that_have_one_are_found(store: Store) -> None:
    having = replace(node("n1"), certificates=(CertificateReference(ONE.thumbprint),))
    await put(store, pool(), having, replace(node("n2"), machine="other"))
    found = await store.read(lambda tx: tx.certificates.nodes(having.account, ONE.thumbprint, 9))
    assert found == [(having.pool, "n1")]
    assert not await store.read(lambda tx: tx.certificates.nodes(having.account, "c" * 40, 9))
