"""The part of the store contract for application packages; see store/base.py."""

from __future__ import annotations

from typing import Protocol

from poolwright.domain.package import Application, Package


class Applications(Protocol):
    """Applications with their packages, which go with them. Few: their numbers are limited (domain/limits.py)."""

    def get(self, account: str, id: str) -> Application | None: ...

    def put(self, application: Application) -> None:
        """Insert it, or change the one of this id, whose spelling and time of creation stay."""
        ...

    def delete(self, account: str, id: str) -> None: ...

    def delete_account(self, account: str) -> None:
        """All of an account."""
        ...

    def page(self, account: str, after: str | None, limit: int) -> list[Application]: ...
    def package(self, account: str, application: str, version: str) -> Package | None: ...

    def packages(self, account: str, application: str) -> list[Package]:
        """In order of lower-cased version."""
        ...

    def by_blob(self, blob: str) -> Package | None:
        """The package whose upload has this name."""
        ...

    def put_package(self, package: Package) -> None:
        """As `put`; its application must be there (StoreError)."""
        ...

    def delete_package(self, account: str, application: str, version: str) -> None: ...

    def files(self) -> tuple[set[str], set[str]]:
        """Names of all uploads, and digests of all contents that some package has."""
        ...
