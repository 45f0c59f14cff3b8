"""Uploads of output files and logs to blob containers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from typing import Any, BinaryIO

import requests
from azure.core.exceptions import AzureError, HttpResponseError
from azure.core.pipeline.transport import RequestsTransport
from azure.storage.blob import ContainerClient, ContentSettings

from poolwright.transfer.addresses import CONNECT_S, READ_S, AddressRefused, certificates
from poolwright.transfer.failures import TransferFailed, error_code, shown
from poolwright.transfer.fetching import PARALLEL, PATIENCE, TIMED_OUT, Patience
from poolwright.transfer.hands import OriginFiles
from poolwright.transfer.patterns import BadPattern, expand, parse
from poolwright.transfer.trees import Found

_METADATA = "x-ms-meta-"
_SETTINGS = {
    "content-type": "content_type",
    "content-encoding": "content_encoding",
    "content-language": "content_language",
    "content-disposition": "content_disposition",
    "cache-control": "cache_control",
}


class Uploader:
    """Puts files into one container. Putting one again replaces it, so that a job may be done again."""

    def __init__(self, session: requests.Session, container_url: str, patience: Patience = PATIENCE) -> None:
        self._url = container_url
        try:
            self._client = ContainerClient.from_container_url(
                container_url,
                transport=RequestsTransport(session=session, session_owner=False),
                connection_verify=certificates(),
                connection_timeout=CONNECT_S,
                read_timeout=READ_S,
                retry_total=patience.tries - 1,
                initial_backoff=1,
                increment_base=2,
            )
        except ValueError:
            raise self._failed("FileUploadMiscError", "the address cannot be used") from None

    def put(self, name: str, data: BinaryIO, headers: Mapping[str, str] = {}) -> None:
        """Upload one blob. Raises TransferFailed."""
        lower = {key.lower(): value for key, value in headers.items()}
        settings: dict[str, Any] = {_SETTINGS[key]: value for key, value in lower.items() if key in _SETTINGS}
        metadata = {key[len(_METADATA) :]: value for key, value in lower.items() if key.startswith(_METADATA)}
        try:
            self._client.upload_blob(
                name,
                data,
                overwrite=True,
                content_settings=ContentSettings(**settings) if settings else None,
                metadata=metadata or None,
                validate_content=True,  # the server judges what came, whatever lies between
                max_concurrency=2,
            )
        except AddressRefused as refused:
            raise self._failed("FileUploadAccessDenied", str(refused)) from None
        except (AzureError, ValueError) as error:
            raise self._explained(error, name) from None

    def _explained(self, error: Exception, name: str) -> TransferFailed:
        if isinstance(error, HttpResponseError) and error.status_code is not None:
            reason = error_code(error)
            more = (("HttpStatus", str(error.status_code)), ("ErrorCode", reason), ("BlobName", name))
            if error.status_code == 404:
                return self._failed("FileUploadContainerNotFound", "the container does not exist", more)
            if error.status_code in (401, 403):
                return self._failed("FileUploadAccessDenied", "access is denied", more)
            if error.status_code in (409, 412):
                return self._failed("FileUploadConflict", f"{name}: the blob cannot be replaced now", more)
            late = error.status_code in TIMED_OUT
            return self._failed(
                "FileUploadTimedOut" if late else "FileUploadMiscError",
                f"{name}: the server answered {error.status_code}",
                more,
            )
        if "imed out" in str(error):
            return self._failed("FileUploadTimedOut", f"{name}: no answer in time")
        return self._failed("FileUploadMiscError", f"{name}: the connection failed")

    def _failed(self, code: str, text: str, more: Sequence[tuple[str, str]] = ()) -> TransferFailed:
        told = tuple(pair for pair in more if pair[1])
        return TransferFailed(
            code, f"{shown(self._url)}: {text}", (("ContainerUrl", shown(self._url)), *told)
        )


class Outputs:
    """Uploads what a task leaves, and writes in its directory what was uploaded and what was not."""

    def __init__(
        self,
        session: requests.Session,
        origin: OriginFiles,
        directory: str,
        variables: Mapping[str, str],
        tell: Callable[[int], None] = lambda _: None,
        patience: Patience = PATIENCE,
    ) -> None:
        self._session, self._patience = session, patience
        self._origin = origin
        self._directory = directory
        self._variables = dict(variables)
        self._tell = tell
        self._said: list[str] = []
        self._wrong: list[str] = []
        self._sent = 0

    def all(self, items: Sequence[Mapping[str, Any]]) -> int:
        """Upload; returns the number of files. Every item is tried; raises TransferFailed for the first that failed."""
        first: TransferFailed | None = None
        for item in items:
            try:
                self._item(item)
            except TransferFailed as failure:
                self._wrong.append(f"{failure.code}: {failure}")
                first = first or failure
        try:
            self._origin.write(f"{self._directory}/fileuploadout.txt", _lines(self._said))
            self._origin.write(f"{self._directory}/fileuploaderr.txt", _lines(self._wrong))
        except OSError:
            pass  # the directory is the task's: it may have made it unwritable; the failure is told anyway
        if first is not None:
            raise first
        return self._sent

    def _item(self, item: Mapping[str, Any]) -> None:
        root = self._variables["AZ_BATCH_NODE_ROOT_DIR"]
        written = str(item["pattern"])
        try:
            pattern = parse(expand(written, self._variables), f"{root}/{self._directory}/wd", root)
        except BadPattern as bad:
            raise TransferFailed("FileUploadMiscError", str(bad), (("FilePattern", written),)) from None
        found = self._origin.find(pattern)
        uploader = Uploader(self._session, str(item["url"]), self._patience)
        path = str(item.get("path") or "").strip("/")
        self._said.append(f"{written}: {len(found)} files")
        headers = dict(item.get("headers") or ())
        with ThreadPoolExecutor(PARALLEL) as pool:
            wanted = [(uploader, one, _blob_name(one, path, pattern.wild), headers) for one in found]
            for line in pool.map(lambda task: self._send(*task), wanted):
                self._said.append(line)

    def _send(self, uploader: Uploader, found: Found, name: str, headers: dict[str, str]) -> str:
        try:
            stream = self._origin.open(found.path)
        except OSError as error:
            text = f"{found.path}: cannot be read: {error.strerror}"
            raise TransferFailed("FileUploadMiscError", text, (("FilePath", found.path),)) from None
        with stream:
            uploader.put(name, stream, headers)
        self._sent += 1
        self._tell(self._sent)
        return f"{found.path} -> {name}"


def logs(session: requests.Session, job: Mapping[str, Any]) -> int:
    """Upload texts as blobs of a virtual directory; returns how many. Raises TransferFailed."""
    uploader = Uploader(session, str(job["url"]))
    for name, text in job["texts"]:
        data = BytesIO(str(text).encode())
        uploader.put(f"{job['prefix']}/{name}", data, {"Content-Type": "text/plain; charset=utf-8"})
    return len(job["texts"])


def _blob_name(found: Found, path: str, wild: bool) -> str:
    if not path:
        return found.name
    return f"{path}/{found.name}" if wild else path


def _lines(said: Sequence[str]) -> str:
    return "".join(f"{line}\n" for line in said)
