"""How transfers are carried to the host agent, and the storage that the operator linked to the accounts."""

from __future__ import annotations

import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from poolwright.domain.limits import TRANSFER_S_MAX
from poolwright.engines.base import EngineError
from poolwright.engines.hub import AgentHub
from poolwright.reconcile.fleet import Json
from poolwright.reconcile.transfers import NoAutoStorage

_AGENT_COMES_S = 60.0
_STOP_S = 30.0
_LEAVE = timedelta(days=2)  # longer than any transfer
_SKEW = timedelta(minutes=15)


class HubCarrier:
    """See reconcile/transfers.py, Carrier."""

    def __init__(self, hub: AgentHub) -> None:
        self._hub = hub

    async def run(self, machine: str, fence: int, id: str, job: Json) -> Json:
        """Have a job done beside the host agent."""
        while not self._hub.connected:
            try:
                await self._hub.wait_connected(_AGENT_COMES_S)
            except EngineError:
                continue
        params = {"machine": machine, "fence": fence, "id": id, "job": job}
        return await self._hub.call("transfer", params, TRANSFER_S_MAX)

    async def stop(self, id: str) -> None:
        """End a job."""
        await self._hub.call("transfer.stop", {"id": id}, _STOP_S)


class BadAutoStorage(OSError):
    """The file that names the linked storage cannot be used; the message says why, without its content."""


class LinkedStorage:
    """One storage account for every batch account of the service, read from a file with a connection string."""

    def __init__(self, file: Path | None) -> None:
        """Raises BadAutoStorage."""
        self._service = None if file is None else _open(file)

    def container_url(self, account: str, container: str, *, write: bool) -> str:
        """See reconcile/transfers.py, AutoStorage."""
        if self._service is None:
            raise NoAutoStorage(
                f"Account {account} has no linked storage; the operator links one with --auto-storage."
            )
        from azure.storage.blob import ContainerSasPermissions, generate_container_sas

        now = datetime.now(UTC)
        signature = generate_container_sas(
            self._service.account_name or "",
            container,
            account_key=self._service.credential.account_key,
            permission=ContainerSasPermissions(read=True, list=True, write=write, create=write),
            start=now - _SKEW,
            expiry=now + _LEAVE,
        )
        return f"{self._service.get_container_client(container).url}?{signature}"


def _open(file: Path) -> Any:
    """The client of the storage account that a file names. Imported only where there is one: it takes long to load."""
    try:
        if stat.S_IMODE(file.stat().st_mode) & 0o077:
            raise BadAutoStorage(f"{file} holds a secret: only its owner may read it (chmod 600)")
        text = file.read_text(encoding="utf-8").strip()
    except OSError as error:
        if isinstance(error, BadAutoStorage):
            raise
        raise BadAutoStorage(f"{file} cannot be read: {error.strerror}") from None
    from azure.storage.blob import BlobServiceClient

    try:
        service = BlobServiceClient.from_connection_string(text)
    except ValueError:
        raise BadAutoStorage(f"{file} holds no connection string of a storage account") from None
    if not hasattr(service.credential, "account_key"):
        raise BadAutoStorage(f"{file}: the connection string has no AccountKey")
    return service
