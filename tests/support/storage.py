"""Real blob storage for tests: Azurite on a free port of loopback, with its data in memory."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path

from azure.storage.blob import BlobServiceClient, ContainerSasPermissions, generate_container_sas

from tests.support.server import Server
from tools import azurite

ACCOUNT = "devstoreaccount1"
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="  # public, Azurite's
_LISTENING = r"listen\w* (?:at|on) http://127\.0\.0\.1:(\d+)"


class Storage:
    """One running Azurite. Made by the `storage` fixture."""

    def __init__(self, directory: Path) -> None:
        """Raises tools.azurite.Unavailable."""
        command = [*azurite.ensure(), "--blobHost", "127.0.0.1", "--blobPort", "0", "--inMemoryPersistence"]
        command += ["--skipApiVersionCheck", "--disableTelemetry"]
        self._server = Server(command, directory / "azurite.log", _LISTENING)
        self.url = f"http://127.0.0.1:{self._server.port}/{ACCOUNT}"
        self.connection_string = (
            f"DefaultEndpointsProtocol=http;AccountName={ACCOUNT};AccountKey={KEY};BlobEndpoint={self.url};"
        )
        self.client = BlobServiceClient.from_connection_string(self.connection_string)

    def close(self) -> None:
        """End it."""
        self.client.close()
        self._server.stop()

    def container(self, **blobs: bytes) -> str:
        """A new container's name; `blobs` are put in it (`__` in a name stands for `/`, `_dot_` for `.`)."""
        name = f"c{uuid.uuid4().hex[:12]}"
        client = self.client.create_container(name)
        for blob, data in blobs.items():
            client.upload_blob(blob.replace("__", "/").replace("_dot_", "."), data)
        client.close()
        return name

    def put(self, container: str, blob: str, data: bytes) -> None:
        """Put one blob."""
        with self.client.get_blob_client(container, blob) as client:
            client.upload_blob(data, overwrite=True)

    def signed(self, container: str, blob: str = "", allow: str = "rlwc", lasts_s: int = 3600) -> str:
        """The address of a container (or a blob) with leave to read, list, write, create. `lasts_s` may be negative."""
        signature = generate_container_sas(
            ACCOUNT,
            container,
            account_key=KEY,
            permission=ContainerSasPermissions.from_string(allow),
            start=datetime.now(UTC) - timedelta(hours=2),
            expiry=datetime.now(UTC) + timedelta(seconds=lasts_s),
        )
        path = f"{container}/{blob}" if blob else container
        return f"{self.url}/{path}?{signature}"

    def blobs(self, container: str) -> dict[str, bytes]:
        """Everything in a container."""
        with self.client.get_container_client(container) as client:
            return {blob.name: client.download_blob(blob.name).readall() for blob in client.list_blobs()}
