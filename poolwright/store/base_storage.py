"""The part of the store contract for storage accounts; see store/base.py."""

from __future__ import annotations

from typing import Protocol

from poolwright.domain.node_logs import PromisedLogs
from poolwright.domain.storage_account import StorageAccount, StorageLink


class StorageAccounts(Protocol):
    """Storage accounts by name (one namespace, lower case), and which batch account is linked to which."""

    def get(self, name: str) -> StorageAccount | None: ...
    def by_id(self, resource_id: str) -> StorageAccount | None: ...
    def all(self) -> list[StorageAccount]: ...

    def put(self, account: StorageAccount) -> None:
        """Insert it, or change the one of this name."""
        ...

    def delete(self, name: str) -> None: ...

    def link_of(self, account: str) -> StorageLink | None:
        """What the batch account is linked to."""
        ...

    def link(self, link: StorageLink) -> None:
        """In the place of an earlier link; it goes with the batch account, which must be there (StoreError)."""
        ...

    def unlink(self, account: str) -> None: ...


class LogUploads(Protocol):
    """Uploads of nodes' logs that were promised and are not over. Few: see LOG_UPLOADS_MAX in domain/limits.py."""

    def all(self) -> list[PromisedLogs]: ...
    def insert(self, promised: PromisedLogs) -> None: ...
    def delete(self, id: str) -> None: ...


class WithStorage(Protocol):
    """The part of a transaction that this is."""

    @property
    def log_uploads(self) -> LogUploads: ...

    @property
    def storage(self) -> StorageAccounts: ...
