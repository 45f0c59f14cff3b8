"""Downloads: one file by HTTP with retries, resumption and a check of its digest; all blobs of a container."""

from __future__ import annotations

import base64
import hashlib
import random
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, BinaryIO

import requests
import urllib3
from azure.core.exceptions import AzureError, HttpResponseError, ServiceRequestError, ServiceResponseError
from azure.core.pipeline.transport import RequestsTransport
from azure.storage.blob import ContainerClient

from poolwright.transfer.addresses import CONNECT_S, READ_S, AddressRefused, certificates
from poolwright.transfer.failures import TransferFailed, disk_errors, error_code, shown
from poolwright.transfer.hands import TargetFiles
from poolwright.transfer.trees import split

PARALLEL = 4  # files of one job at a time
BLOBS_MAX = 100_000  # of one container and prefix
_PIECE = 256 * 1024
_PASSING = frozenset({408, 429, 500, 502, 503, 504})  # what a later try may not meet
TIMED_OUT = frozenset({408, 504})
_FORBIDDEN = frozenset({401, 403, 407})


@dataclass(frozen=True, slots=True)
class Patience:
    """How often a fault that may pass is met before giving up. A try that brought `least_bytes` starts the count anew;
    one that brings fewer in `window_s` is a fault: who sends drop by drop must not keep others waiting."""

    tries: int = 5
    first_wait_s: float = 0.5
    last_wait_s: float = 15.0
    least_bytes: int = 64 * 1024
    window_s: float = 60.0

    def wait(self, failed: int) -> None:
        """Pause after the `failed`-th failure in a row."""
        longest = min(self.last_wait_s, self.first_wait_s * 2 ** (failed - 1))
        time.sleep(longest * random.uniform(0.5, 1.0))


PATIENCE = Patience()


@dataclass(frozen=True, slots=True)
class Item:
    """One file to download: `path` is relative to the target directory."""

    url: str
    path: str
    mode: int


@dataclass(slots=True)
class Progress:
    """What a job moved so far."""

    files: int = 0
    bytes: int = 0


class _Passing(Exception):
    """This try failed; another may not."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Fetcher:
    """Downloads into one target directory. `tell` hears of bytes as they come, from any thread."""

    def __init__(
        self,
        session: requests.Session,
        target: TargetFiles,
        patience: Patience = PATIENCE,
        tell: Callable[[Progress], None] = lambda _: None,
    ) -> None:
        self._session = session
        self._target = target
        self._patience = patience
        self._tell = tell
        self._progress = Progress()
        self._lock = threading.Lock()

    def all(self, items: Iterable[Item]) -> Progress:
        """Download everything, some files side by side. Raises TransferFailed for the first that fails."""
        with ThreadPoolExecutor(PARALLEL) as pool:
            try:
                for _ in pool.map(self.one, items):
                    pass
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
        return self._progress

    def one(self, item: Item) -> None:
        """Download one file. Raises TransferFailed."""
        with self._target.file(item.path, item.mode) as stream:
            download = _Download(self._session, item, stream, self._count, self._patience)
            failed = 0
            while True:
                had = download.size
                try:
                    download.attempt()
                    break
                except _Passing as fault:
                    failed = 1 if download.size - had >= self._patience.least_bytes else failed + 1
                    if failed >= self._patience.tries:
                        text = f"{item.path}: {shown(item.url)}: {fault} ({failed} tries in a row)"
                        raise TransferFailed(fault.code, text, _named(item)) from None
                    self._patience.wait(failed)
        self._count(0, 1)

    def _count(self, data: int, files: int = 0) -> None:
        with self._lock:
            self._progress.bytes += data
            self._progress.files += files
            self._tell(self._progress)


class _Download:
    """One file under way: what has arrived stays in `stream` from one try to the next."""

    def __init__(
        self,
        session: requests.Session,
        item: Item,
        stream: BinaryIO,
        count: Callable[[int], None],
        patience: Patience,
    ) -> None:
        self._session = session
        self._patience = patience
        self._item = item
        self._stream = stream
        self._count = count
        self._tag: str | None = None  # of the version that arrives
        self._wanted: str | None = None  # its MD5 in base64, where told
        self._digest = hashlib.md5(usedforsecurity=False)
        self.size = 0

    def attempt(self) -> None:
        """Fetch what is missing. Raises _Passing, or TransferFailed when no other try can help."""
        headers = {"Accept-Encoding": "identity"}
        if self.size and self._tag:
            headers |= {"Range": f"bytes={self.size}-", "If-Match": self._tag}
        else:
            self._start_over()
        try:
            answer = self._session.get(
                self._item.url, headers=headers, stream=True, timeout=(CONNECT_S, READ_S)
            )
            with answer:
                self._take(answer)
        except requests.TooManyRedirects:
            raise self._failed("BlobDownloadMiscError", "redirected too often") from None
        except (requests.exceptions.InvalidSchema, requests.exceptions.InvalidURL, UnicodeError):
            raise self._failed("BlobDownloadMiscError", "the address cannot be used") from None
        except AddressRefused as refused:
            raise self._failed("BlobAccessDenied", str(refused)) from None
        except requests.ConnectionError:
            raise _Passing("BlobDownloadMiscError", "the connection failed") from None
        except (requests.Timeout, urllib3.exceptions.TimeoutError):
            raise _Passing("BlobDownloadTimedOut", "no answer in time") from None
        except (requests.RequestException, urllib3.exceptions.HTTPError):
            raise _Passing("BlobDownloadMiscError", "the answer broke off") from None

    def _take(self, answer: requests.Response) -> None:
        if answer.status_code in (412, 416) and self.size:
            self._tag = None
            raise _Passing("BlobDownloadMiscError", "it changed while it was downloaded")
        self._check(answer)
        resumed = answer.status_code == 206
        if resumed and not self._continues(answer):
            self._tag = None
            raise _Passing("BlobDownloadMiscError", "the server continued at another place")
        if not resumed:
            self._start_over()
            self._tag = _strong(answer.headers.get("ETag"))
            encoded = answer.headers.get("Content-Encoding", "identity") != "identity"
            stored = answer.headers.get("x-ms-blob-content-md5")
            self._wanted = stored or (None if encoded else answer.headers.get("Content-MD5"))
        expected = answer.headers.get("Content-Length")
        arrived = 0
        for piece in self._pieces(answer):
            with disk_errors("ResourceFileWriteFailed", self._item.path):
                _write(self._stream, piece)
            self._digest.update(piece)
            self.size += len(piece)
            arrived += len(piece)
            self._count(len(piece))
        if expected is not None and expected.isdigit() and arrived != int(expected):
            raise _Passing("BlobDownloadMiscError", f"{arrived} of {expected} bytes came")
        self._verify()

    def _pieces(self, answer: requests.Response) -> Iterator[bytes]:
        """What arrives, as it arrives. Raises _Passing when it is too little for too long."""
        began, came = time.monotonic(), 0
        while piece := answer.raw.read1(_PIECE, decode_content=False):
            yield piece
            came += len(piece)
            if came >= self._patience.least_bytes:
                began, came = time.monotonic(), 0
            elif time.monotonic() - began > self._patience.window_s:
                text = f"{came} bytes came in {self._patience.window_s:.0f} s: too slow"
                raise _Passing("BlobDownloadTimedOut", text)

    def _verify(self) -> None:
        told = base64.b64encode(self._digest.digest()).decode()
        if self._wanted is not None and self._wanted.strip() != told:
            self._tag = None
            raise _Passing("BlobDownloadMiscError", "its digest is not the one that the server tells")

    def _check(self, answer: requests.Response) -> None:
        status = answer.status_code
        if status in (200, 206):
            return
        reason = answer.headers.get("x-ms-error-code", "")
        if status in _PASSING:
            code = "BlobDownloadTimedOut" if status in TIMED_OUT else "BlobDownloadMiscError"
            raise _Passing(code, f"the server answered {status} {reason}".strip())
        code, text = "BlobDownloadMiscError", f"the server answered {status}"
        if status in (404, 410):
            code, text = "BlobNotFound", "the file does not exist"
        elif status in _FORBIDDEN or reason == "PublicAccessNotPermitted":
            code, text = "BlobAccessDenied", "access is denied"
        raise self._failed(code, text, (("HttpStatus", str(status)), ("ErrorCode", reason)))

    def _continues(self, answer: requests.Response) -> bool:
        begins = answer.headers.get("Content-Range", "").strip().startswith(f"bytes {self.size}-")
        tag = _strong(answer.headers.get("ETag"))
        return begins and (tag is None or tag == self._tag)

    def _start_over(self) -> None:
        self._count(-self.size)
        with disk_errors("ResourceFileWriteFailed", self._item.path):
            self._stream.seek(0)
            self._stream.truncate(0)
        self._digest = hashlib.md5(usedforsecurity=False)
        self.size = 0

    def _failed(self, code: str, text: str, more: Sequence[tuple[str, str]] = ()) -> TransferFailed:
        told = tuple(pair for pair in more if pair[1])
        message = f"{self._item.path}: {shown(self._item.url)}: {text}"
        return TransferFailed(code, message, _named(self._item) + told)


def blobs(
    session: requests.Session, item: Mapping[str, Any], patience: Patience = PATIENCE
) -> Iterator[Item]:
    """The files of a container whose names begin with the prefix, below the item's path. Raises TransferFailed."""
    url = str(item["url"])
    details = (("StorageContainerUrl", shown(url)),)
    transport = RequestsTransport(session=session, session_owner=False)
    try:
        client = ContainerClient.from_container_url(
            url,
            transport=transport,
            connection_verify=certificates(),
            connection_timeout=CONNECT_S,
            read_timeout=READ_S,
            retry_total=patience.tries - 1,
            initial_backoff=1,
            increment_base=2,
        )
        for count, blob in enumerate(
            client.list_blobs(name_starts_with=item.get("prefix") or None, include=["metadata"])
        ):
            if count >= BLOBS_MAX:
                text = f"{shown(url)}: more than {BLOBS_MAX} blobs; narrow them with blobPrefix"
                raise TransferFailed("ResourceContainerListMiscError", text, details)
            if blob.name.endswith("/") or (blob.metadata or {}).get("hdi_isfolder") == "true":
                continue
            path = "/".join(split(str(item.get("path") or "")) + split(blob.name))
            yield Item(client.get_blob_client(blob.name).url, path, int(item["mode"]))
    except AddressRefused as refused:
        text = f"{shown(url)}: {refused}"
        raise TransferFailed("ResourceContainerAccessDenied", text, details) from None
    except (AzureError, ValueError) as error:
        raise _container_failure(error, url, details) from None


def _container_failure(error: Exception, url: str, details: tuple[tuple[str, str], ...]) -> TransferFailed:
    code, text = "ResourceContainerListMiscError", "its blobs cannot be listed"
    if isinstance(error, HttpResponseError):
        reason = error_code(error)
        details += tuple(
            pair for pair in (("HttpStatus", str(error.status_code)), ("ErrorCode", reason)) if pair[1]
        )
        if error.status_code == 404:
            code, text = "ResourceContainerNotFound", "the container does not exist"
        elif error.status_code in _FORBIDDEN or reason == "PublicAccessNotPermitted":
            code, text = "ResourceContainerAccessDenied", "access is denied"
        elif error.status_code in TIMED_OUT:
            code, text = "ResourceContainerListTimedOut", f"the server answered {error.status_code}"
    elif isinstance(error, (ServiceRequestError, ServiceResponseError)) and "imed out" in str(error):
        code, text = "ResourceContainerListTimedOut", "no answer in time"
    elif isinstance(error, ValueError):
        text = "the address cannot be used"
    return TransferFailed(code, f"{shown(url)}: {text}", details)


def _strong(tag: str | None) -> str | None:
    return None if tag is None or tag.startswith("W/") else tag


def _named(item: Item) -> tuple[tuple[str, str], ...]:
    return (("FilePath", item.path), ("Url", shown(item.url)))


def _write(stream: BinaryIO, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[stream.write(view) :]
