"""The part of the store contract for certificates; see store/base.py."""

from __future__ import annotations

from typing import Protocol

from poolwright.domain.certificate import Certificate


class Certificates(Protocol):
    """Certificates of accounts, by thumbprint (lower-case hex). Few: their number is limited (domain/limits.py)."""

    def get(self, account: str, thumbprint: str) -> Certificate | None: ...
    def count(self, account: str) -> int: ...

    def put(self, certificate: Certificate) -> None:
        """Insert it, or change the state of the one of this thumbprint, whose content stays."""
        ...

    def delete(self, account: str, thumbprint: str) -> None: ...

    def delete_account(self, account: str) -> None:
        """All of an account."""
        ...

    def page(self, account: str, after: str | None, limit: int) -> list[Certificate]: ...

    def deleting(self) -> list[tuple[str, str]]:
        """(account, thumbprint) of those whose deletion is not decided."""
        ...

    def nodes(self, account: str, thumbprint: str, limit: int) -> list[tuple[str, str]]:
        """(pool, node) of nodes that have it in their present life."""
        ...
