"""Applications and their packages in the store."""

from __future__ import annotations

from dataclasses import replace

from poolwright.domain.package import Application, Package
from poolwright.store.base import Store

A = "acct"
ONE = Application(A, "Render", 1, 2, "Farm", False, "1.0")
PACKAGE = Package(A, "Render", "1.0B", "blob", "secret", 9, 1, 2, "d" * 64, 5, 3)


async def test_they_are_kept_whole_and_go_together(store: Store) -> None:
    await store.write(lambda tx: tx.applications.put(ONE))
    await store.write(lambda tx: tx.applications.put_package(PACKAGE))
    later = replace(PACKAGE, version="2", blob="other", digest=None, activated_at=None)
    await store.write(lambda tx: tx.applications.put_package(later))
    assert await store.read(lambda tx: tx.applications.get(A, "RENDER")) == ONE
    assert await store.read(lambda tx: tx.applications.packages(A, "render")) == [PACKAGE, later]
    assert await store.read(lambda tx: tx.applications.package(A, "render", "1.0b")) == PACKAGE
    assert await store.read(lambda tx: tx.applications.by_blob("other")) == later
    assert await store.read(lambda tx: tx.applications.files()) == ({"blob", "other"}, {"d" * 64})
    changed = replace(ONE, display_name=None, allow_updates=True, default_version=None, modified_at=7)
    await store.write(lambda tx: tx.applications.put(changed))
    assert await store.read(lambda tx: tx.applications.page(A, None, 9)) == [changed]
    assert await store.read(lambda tx: len(tx.applications.packages(A, "render"))) == 2, "a change keeps them"
    await store.write(lambda tx: tx.applications.delete_package(A, "RENDER", "2"))
    await store.write(lambda tx: tx.applications.delete_account(A))
    assert await store.read(lambda tx: tx.applications.files()) == (set(), set())
