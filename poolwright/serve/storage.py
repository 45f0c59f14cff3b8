"""Storage accounts at work: this service's own blob storage, the operator's, and what accounts are linked to."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import stat
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from starlette.types import ASGIApp

from poolwright.api.blobs.addresses import package_url
from poolwright.api.blobs.bytes import BlobStream, BytesRefused
from poolwright.api.blobs.storage import StorageApp
from poolwright.commands import storage_accounts
from poolwright.commands.context import Caller, Context
from poolwright.domain.blobs import BlobKey, BlobRefused
from poolwright.domain.clock import SECOND, Clock, Ids
from poolwright.domain.errors import ManagementError
from poolwright.domain.limits import Settings
from poolwright.domain.package import Package
from poolwright.domain.storage_account import ExternalStorage, StorageAccount, StorageLink, container_of
from poolwright.reconcile.transfers import NoAutoStorage
from poolwright.serve.blob_files import BlobFiles
from poolwright.serve.options import Options
from poolwright.serve.packages import StoredPackages
from poolwright.store.base import Store, Tx
from poolwright.transfer.addresses import CONNECT_S, READ_S, Policy, certificates, session

_log = logging.getLogger(__name__)
_LEAVE = timedelta(days=2)  # longer than any transfer
_SKEW = timedelta(minutes=15)
_TRIES = 3
_PIECE = 4 * 1024 * 1024
_ANYWHERE = Policy(["0.0.0.0/0", "::/0"])


class BadStorageFile(OSError):
    """A file that names storage of the operator cannot be used; the message says why, without its content."""


def read_storage(file: Path) -> ExternalStorage:
    """The storage that a file's connection string names. Raises BadStorageFile."""
    try:
        if stat.S_IMODE(file.stat().st_mode) & 0o077:
            raise BadStorageFile(f"{file} holds a secret: only its owner may read it (chmod 600)")
        text = file.read_text(encoding="utf-8").strip()
    except OSError as error:
        if isinstance(error, BadStorageFile):
            raise
        raise BadStorageFile(f"{file} cannot be read: {error.strerror}") from None
    from azure.storage.blob import BlobServiceClient  # only where there is one: it takes long to load

    try:
        service = BlobServiceClient.from_connection_string(text)
    except ValueError:
        raise BadStorageFile(f"{file} holds no connection string of a storage account") from None
    key = getattr(service.credential, "account_key", None)
    if not isinstance(key, str):
        raise BadStorageFile(f"{file}: the connection string has no AccountKey")
    return ExternalStorage(str(service.account_name), key, str(service.url).rstrip("/"))


@dataclass(frozen=True, slots=True)
class _Place:
    """A storage account as it is spoken to: `room` where it lies in this service's own storage."""

    name: str
    key: str
    endpoint: str
    room: str | None = None


class AccountStorage:
    """Implements reconcile.transfers.AutoStorage and api.arm.services.Storage. `linked`: the operator's storage for
    accounts that are linked to none; `known`: storage of the operator that storage accounts may stand for."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        ids: Ids,
        own: BlobFiles,
        packages: StoredPackages,
        known: Sequence[ExternalStorage],
        linked: ExternalStorage | None,
    ) -> None:
        self._store = store
        self._clock = clock
        self._ids = ids
        self._own = own
        self._packages = packages
        self._known = {one.name: one for one in (*([linked] if linked else ()), *known)}
        self._linked = linked
        self._here: dict[str, StorageAccount] = {}
        self._url = ""
        self._authority = ""

    async def open(self, url: str, settings: Settings, trusted: str = "") -> None:
        """`url` is this service as programs of this host reach it, without a slash at the end. `trusted`: see
        serve/transfers.py."""
        self._url = url
        if trusted:
            self._authority = await asyncio.to_thread(Path(trusted).read_text, "ascii", "ignore")
        ctx = Context(self._clock, self._ids, settings, Caller("system", "start"))
        known = list(self._known.values())
        for name in await self._store.write(lambda tx: storage_accounts.adopt(tx, ctx, known)):
            _log.warning(
                "the storage account %s lies in this service's own storage; the operator's storage of that name is not "
                "used until the account is deleted and made again",
                name,
            )
        await asyncio.to_thread(self._own.open)
        await self.refresh()

    async def refresh(self) -> None:
        """Read again which storage accounts there are."""
        accounts = await self._store.read(lambda tx: tx.storage.all())
        self._here = {one.name: one for one in accounts if one.endpoint is None}

    def app(self, refusal: Callable[[], str | None], otherwise: ASGIApp) -> StorageApp:
        """What answers for this service's own storage; all else goes to `otherwise`."""
        return StorageApp(self._here_now, self._own, self._clock, self._ids, refusal, otherwise)

    def _here_now(self, name: str) -> StorageAccount | None:
        return self._here.get(name)

    def registered(self, name: str) -> ExternalStorage | None:
        """See api/arm/services.py, Storage."""
        return self._known.get(name)

    async def container_url(self, account: str, container: str, *, write: bool) -> str:
        """See reconcile/transfers.py, AutoStorage."""
        place = await self._store.read(lambda tx: self._linked_to(tx, account))
        from azure.storage.blob import ContainerSasPermissions, generate_container_sas

        now = datetime.now(UTC)
        signature = generate_container_sas(
            place.name,
            container,
            account_key=place.key,
            permission=ContainerSasPermissions(read=True, list=True, write=write, create=write),
            start=now - _SKEW,
            expiry=now + _LEAVE,
        )
        return f"{place.endpoint}/{container}?{signature}"

    def _linked_to(self, tx: Tx, account: str) -> _Place:
        link = tx.storage.link_of(account)
        if link is None:
            if self._linked is None:
                raise NoAutoStorage(f"Account {account} has no linked storage: set its autoStorage.")
            return _Place(self._linked.name, self._linked.key, self._linked.endpoint)
        found = self._place(tx, link.storage_id, link)
        if found is None:
            raise NoAutoStorage(f"The linked storage of account {account}, {link.storage_id}, was deleted.")
        return found

    def _place(self, tx: Tx, storage_id: str, link: StorageLink | None) -> _Place | None:
        """A storage account with the key the link has of it, its own where it is not the one linked now."""
        found = tx.storage.by_id(storage_id)
        if found is None:
            return None
        key = link.key if link is not None and link.storage_id == storage_id else found.key1
        here = found.endpoint is None
        endpoint = f"{self._url}/{found.name}" if here else str(found.endpoint)
        return _Place(found.name, key, endpoint, found.room if here else None)

    async def _place_of(self, package: Package) -> _Place | None:
        storage = package.storage
        if storage is None:
            return None
        return await self._store.read(
            lambda tx: self._place(tx, storage, tx.storage.link_of(package.account))
        )

    async def package_url(self, base: str, package: Package) -> str | None:
        """See api/arm/services.py, Storage."""
        if package.storage is None:
            return package_url(base, package)
        place = await self._place_of(package)
        if place is None:
            return None
        from azure.storage.blob import BlobSasPermissions, generate_blob_sas

        container, blob = _where(package)
        signature = generate_blob_sas(
            place.name,
            container,
            blob,
            account_key=place.key,
            permission=BlobSasPermissions(read=True, write=True, create=True),
            expiry=datetime.fromtimestamp(package.url_until // SECOND, UTC),
        )
        endpoint = f"{base}/{place.name}" if place.room is not None else place.endpoint
        return f"{endpoint}/{container}/{blob}?{signature}"

    async def prepare(self, package: Package) -> None:
        """See api/arm/services.py, Storage."""
        place = await self._place_of(package)
        if place is None:
            return
        container, _ = _where(package)
        if place.room is not None:
            room, now = place.room, self._clock.now()
            with suppress(BlobRefused):
                await self._own.change(lambda index: index.create_container(room, container, (), now))
            return

        def work() -> None:
            from azure.core.exceptions import ResourceExistsError

            with suppress(ResourceExistsError), self._client(place).get_container_client(container) as client:
                client.create_container()

        await _outside(place, work)

    async def bring(self, package: Package) -> None:
        """See api/arm/services.py, Storage."""
        place = await self._place_of(package)
        if place is None:
            if package.storage is not None:
                text = f"The storage account of the package, {package.storage}, was deleted."
                raise ManagementError(409, "AutoStorageAccountNotFound", text)
            return
        try:
            size, content = await self._content(place, package)
            await self._packages.put(package.blob, content, size)
        except BlobRefused:
            return  # nothing was uploaded; whether that matters is for the activation to say
        except BytesRefused as error:
            raise ManagementError(409, "ApplicationPackageBlobNotFound", str(error)) from None

    async def _content(self, place: _Place, package: Package) -> tuple[int, AsyncIterator[bytes]]:
        container, name = _where(package)
        if place.room is not None:
            blob, stream = await self._own.open_blob(BlobKey(place.room, container, name))
            return blob.size, _reading(stream, blob.size)

        def begin() -> Any:
            from azure.core.exceptions import ResourceNotFoundError

            try:
                return self._client(place).get_blob_client(container, name).download_blob(max_concurrency=1)
            except ResourceNotFoundError:
                return None

        download = await _outside(place, begin)
        if download is None:
            raise BlobRefused(404, "BlobNotFound", "Nothing was uploaded.")
        return int(download.size), _downloading(place, download)

    async def discard(self, package: Package) -> None:
        """See api/arm/services.py, Storage."""
        place = await self._place_of(package)
        if place is None:
            return
        container, name = _where(package)
        if place.room is not None:
            key = BlobKey(place.room, container, name)
            with suppress(BlobRefused):
                await self._own.change(lambda index: index.delete(key, lambda _: None))
            return
        try:
            await _outside(place, lambda: self._client(place).get_blob_client(container, name).delete_blob())
        except ManagementError as error:
            _log.warning("the upload of a deleted package stays in storage %s: %s", place.name, error.message)

    def _client(self, place: _Place) -> Any:
        """Of storage that the operator named: whoever else names servers is served by the transfer worker."""
        from azure.core.pipeline.transport import RequestsTransport
        from azure.storage.blob import BlobServiceClient

        return BlobServiceClient(
            place.endpoint,
            {"account_name": place.name, "account_key": place.key},
            transport=RequestsTransport(session=session(_ANYWHERE, authority=self._authority)),
            connection_verify=certificates(),
            connection_timeout=CONNECT_S,
            read_timeout=READ_S,
            retry_total=_TRIES,
            initial_backoff=1,
            max_chunk_get_size=_PIECE,
            max_single_get_size=_PIECE,
        )


def _where(package: Package) -> tuple[str, str]:
    """Container and blob of a package, named as the public service names them."""
    owner = f"{package.account}/{package.application.lower()}"
    digest = hashlib.sha256(owner.encode()).hexdigest()
    return container_of(
        package.application, digest
    ), f"{package.application}-{package.version}-{package.blob}"


async def _outside(place: _Place, work: Callable[[], Any]) -> Any:
    """Something asked of the operator's storage. Raises ManagementError (409) for its refusals."""
    from azure.core.exceptions import AzureError

    try:
        return await asyncio.to_thread(work)
    except AzureError as error:
        reason = getattr(error, "error_code", None) or type(error).__name__
        text = f"The storage account '{place.name}' cannot be used: {getattr(reason, 'value', reason)}."
        raise ManagementError(409, "AutoStorageAccountNotAccessible", text) from None


async def _reading(stream: BlobStream, size: int) -> AsyncIterator[bytes]:
    async for piece in stream.read(0, size):
        yield piece


async def _downloading(place: _Place, download: Any) -> AsyncIterator[bytes]:
    chunks = iter(download.chunks())
    while (chunk := await _outside(place, lambda: next(chunks, None))) is not None:
        yield chunk


def storage_of(
    options: Options,
    store: Store,
    clock: Clock,
    ids: Ids,
    packages: StoredPackages,
    room: Callable[[], str | None],
) -> tuple[AccountStorage, BlobFiles]:
    """The storage of a service, and its own part of it. `room` says why nothing is taken in now. Raises
    BadStorageFile."""
    own = BlobFiles(options.data_dir / "blobs", store, clock, ids, room)
    linked = None if options.auto_storage is None else read_storage(options.auto_storage)
    known = [read_storage(file) for file in options.storage_accounts]
    return AccountStorage(store, clock, ids, own, packages, known, linked), own
