"""A client of image registries: manifests and blobs by the distribution project's "HTTP API V2", tokens by its "Token
Authentication Specification", images as the OCI image specification and docker's manifest schema 2 describe them.

It is small and our own because every connection, also to a token server or where a blob is redirected to, has to obey
the address rules of transfers (addresses.py), and because credentials must be in no file and no argument of a program.
"""

from __future__ import annotations

import base64
import hashlib
import ipaddress
import json
import platform
import re
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, BinaryIO, TypeVar
from urllib.parse import urlsplit

import requests
import urllib3

from poolwright.domain.containers import (
    INVALID_IMAGE,
    INVALID_REGISTRY,
    MISC_ERROR,
    PUBLIC_REGISTRY,
    ImageName,
)
from poolwright.transfer.addresses import CONNECT_S, READ_S, AddressRefused, tls_fault
from poolwright.transfer.failures import TransferFailed, disk_errors
from poolwright.transfer.fetching import Patience

T = TypeVar("T")
_PUBLIC_HOST = "registry-1.docker.io"
_OCI, _DOCKER = "application/vnd.oci.image.", "application/vnd.docker.distribution.manifest."
_INDEXES = frozenset({f"{_OCI}index.v1+json", f"{_DOCKER}list.v2+json"})
_MANIFESTS = frozenset({f"{_OCI}manifest.v1+json", f"{_DOCKER}v2+json"})
_ACCEPT = ", ".join(sorted(_MANIFESTS | _INDEXES))
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}\Z")
_PARAMETER = re.compile(r'(\w+)="([^"]*)"')
#: What OpenSSL says (SSLError.reason) when the other side does not speak TLS at all.
_NO_TLS = frozenset(
    {
        "HTTP_REQUEST",
        "PACKET_LENGTH_TOO_LONG",
        "RECORD_LAYER_FAILURE",
        "UNEXPECTED_EOF_WHILE_READING",
        "WRONG_VERSION_NUMBER",
    }
)
_PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})
DOCUMENT_BYTES_MAX = 4 * 1024**2  # the specification lets registries refuse larger ones
LAYERS_MAX = 127  # docker's own bound
_TOKEN_MAX = 64 * 1024
_PIECE = 256 * 1024


class _Passing(Exception):
    """This try failed; another may not."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Blob:
    """A part of an image. `size` is what the manifest says."""

    digest: str
    size: int


@dataclass(frozen=True, slots=True)
class Manifest:
    """One image for one platform: its `digest`, its configuration and its layers, lowest first."""

    digest: str
    config: Blob
    layers: tuple[Blob, ...]


class Registry:
    """The registry of one image. `login` is (user name, password)."""

    def __init__(
        self,
        session: requests.Session,
        image: ImageName,
        login: tuple[str, str] | None,
        patience: Patience,
    ) -> None:
        self._session, self._image, self._login, self._patience = session, image, login, patience
        host = _PUBLIC_HOST if image.server == PUBLIC_REGISTRY else image.server
        self._schemes = ["https", "http"] if _is_loopback(urlsplit(f"//{host}").hostname or "") else ["https"]
        self._host = host
        self._authorization: str | None = None
        self.received = 0  # bytes of layers, also of tries that failed

    def manifest(self) -> Manifest:
        """What the image's name means now, for this host. Raises TransferFailed."""
        wanted = self._image.version
        for _ in range(2):
            raw, kind = self._trying(partial(self._document, f"manifests/{wanted}", _ACCEPT))
            digest = f"sha256:{hashlib.sha256(raw).hexdigest()}"
            if _DIGEST.match(wanted) and digest != wanted:
                raise self._failed(INVALID_IMAGE, "the registry sent something that does not have the digest")
            found = _read(raw)
            kind = str(found.get("mediaType") or kind)
            if kind not in _INDEXES and "manifests" not in found:
                return self._of(digest, found)
            wanted = self._choose(found)
        raise self._failed(INVALID_IMAGE, "its index leads to another index")

    def config(self, manifest: Manifest) -> dict[str, Any]:
        """The image's configuration. Raises TransferFailed."""
        raw, _ = self._trying(lambda: self._document(f"blobs/{manifest.config.digest}", "*/*"))
        if f"sha256:{hashlib.sha256(raw).hexdigest()}" != manifest.config.digest:
            raise self._failed(INVALID_IMAGE, "its configuration does not have its digest")
        return _read(raw)

    def fetch(self, blob: Blob, stream: BinaryIO) -> None:
        """Write a blob into an empty file, going on where a try broke off. Raises TransferFailed."""
        had = 0

        def attempt() -> None:
            nonlocal had
            had = stream.seek(0, 2)
            self._pull(blob, stream, had)

        self._trying(attempt, lambda: stream.seek(0, 2) > had)

    def _trying(self, attempt: Callable[[], T], moved: Callable[[], bool] = lambda: False) -> T:
        failed = 0
        while True:
            try:
                return attempt()
            except _Passing as fault:
                failed = 1 if moved() else failed + 1
                if failed >= self._patience.tries:
                    raise self._failed(fault.code, f"{fault} ({failed} tries in a row)") from None
                self._patience.wait(failed)

    def _document(self, path: str, accept: str) -> tuple[bytes, str]:
        with self._get(path, {"Accept": accept}) as answer:
            raw = b""
            for piece in _pieces(answer):
                raw += piece
                if len(raw) > DOCUMENT_BYTES_MAX:
                    raise self._failed(INVALID_IMAGE, f"a manifest of more than {DOCUMENT_BYTES_MAX} bytes")
            return raw, answer.headers.get("Content-Type", "").partition(";")[0].strip()

    def _pull(self, blob: Blob, stream: BinaryIO, had: int) -> None:
        headers = {"Accept": "*/*", "Accept-Encoding": "identity"}
        if had:
            headers["Range"] = f"bytes={had}-"
        with self._get(f"blobs/{blob.digest}", headers) as answer:
            goes_on = answer.status_code == 206 and answer.headers.get("Content-Range", "").startswith(
                f"bytes {had}-"
            )
            if not goes_on:
                stream.seek(0)
                stream.truncate(0)
            for piece in _pieces(answer):
                with disk_errors(MISC_ERROR, "a layer of the image"):
                    stream.write(piece)
                self.received += len(piece)
                if stream.tell() > blob.size:
                    break
        with disk_errors(MISC_ERROR, "a layer of the image"):
            stream.flush()
        stream.seek(0)
        told = hashlib.sha256()
        while piece := stream.read(_PIECE):
            told.update(piece)
        if f"sha256:{told.hexdigest()}" != blob.digest:
            short = stream.seek(0, 2) < blob.size
            if not short:
                stream.truncate(0)
            raise _Passing(
                MISC_ERROR if short else INVALID_IMAGE,
                "a layer broke off" if short else "a layer does not have its digest",
            )

    def _get(self, path: str, headers: Mapping[str, str]) -> requests.Response:
        answer = self._send(path, headers)
        if answer.status_code == 401:
            challenge = answer.headers.get("WWW-Authenticate", "")
            answer.close()
            self._authorization = self._answer_to(challenge)
            answer = self._send(path, headers)
        if answer.status_code in (200, 206):
            return answer
        status = answer.status_code
        answer.close()
        if status in _PASSING:
            raise _Passing(MISC_ERROR, f"the registry answered {status}")
        if status in (401, 403):
            raise self._denied()
        if status == 404:
            raise self._failed(INVALID_IMAGE, "the registry has no such image")
        raise self._failed(INVALID_IMAGE, f"the registry answered {status}")

    def _send(self, path: str, headers: Mapping[str, str]) -> requests.Response:
        """The answer by the first scheme that is spoken there: plain HTTP only on this host itself, and only where
        nothing speaks TLS: a registry that does has to be trusted."""
        for scheme in list(self._schemes):
            url = f"{scheme}://{self._host}/v2/{self._image.path}/{path}"
            given = dict(headers)
            if self._authorization is not None:
                given["Authorization"] = self._authorization
            try:
                answer = self._ask(url, given)
            except (requests.exceptions.SSLError, requests.ConnectionError, requests.Timeout) as fault:
                if scheme != self._schemes[-1] and not _speaks_tls(fault):
                    continue
                raise self._unreached(fault) from None
            self._schemes = [scheme]
            return answer
        raise AssertionError("there is always a scheme")

    def _ask(self, url: str, headers: Mapping[str, str]) -> requests.Response:
        try:
            return self._session.get(url, headers=headers, stream=True, timeout=(CONNECT_S, READ_S))
        except requests.TooManyRedirects:
            raise self._failed(INVALID_REGISTRY, "the registry redirects too often") from None
        except (requests.exceptions.InvalidSchema, requests.exceptions.InvalidURL, UnicodeError):
            raise self._failed(INVALID_REGISTRY, "an address of the registry cannot be used") from None
        except AddressRefused as refused:
            raise self._failed(INVALID_REGISTRY, str(refused)) from None

    def _answer_to(self, challenge: str) -> str:
        """The Authorization header that a registry asks for. Raises TransferFailed or _Passing."""
        scheme, _, rest = challenge.partition(" ")
        asked = dict(_PARAMETER.findall(rest))
        if scheme.lower() == "basic":
            if self._login is None or self._authorization is not None:
                raise self._denied()
            self._only_safely(f"{self._schemes[-1]}://{self._host}")
            return _basic(self._login)
        if scheme.lower() != "bearer" or "realm" not in asked:
            raise self._failed(INVALID_REGISTRY, "the registry asks for credentials in a way unknown here")
        scope = asked.get("scope") or f"repository:{self._image.path}:pull"
        parameters = {"service": asked.get("service", ""), "scope": scope}
        request = requests.Request("GET", asked["realm"], params={k: v for k, v in parameters.items() if v})
        try:
            url = str(request.prepare().url)
        except (requests.exceptions.RequestException, UnicodeError):
            raise self._failed(INVALID_REGISTRY, "the address of its token server cannot be used") from None
        headers = {}
        if self._login is not None:
            self._only_safely(url)
            headers["Authorization"] = _basic(self._login)
        return f"Bearer {self._token(url, headers)}"

    def _token(self, url: str, headers: Mapping[str, str]) -> str:
        try:
            with self._ask(url, headers) as answer:
                if answer.status_code in _PASSING:
                    raise _Passing(MISC_ERROR, f"the token server answered {answer.status_code}")
                if answer.status_code != 200:
                    raise self._denied()
                raw = answer.raw.read(_TOKEN_MAX, decode_content=True)
        except (requests.ConnectionError, requests.Timeout) as fault:
            raise self._unreached(fault) from None
        found = _read(raw)
        token = found.get("token") or found.get("access_token")
        if not isinstance(token, str) or not token.isprintable():
            raise self._failed(INVALID_REGISTRY, "the token server sent no token")
        return token

    def _only_safely(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme != "https" and not _is_loopback(parts.hostname or ""):
            raise self._failed(
                INVALID_REGISTRY, "credentials are sent by HTTPS only, and it asks for them by HTTP"
            )

    def _of(self, digest: str, found: Mapping[str, Any]) -> Manifest:
        try:
            layers = tuple(_blob(layer) for layer in found["layers"])
            config = _blob(found["config"])
        except (KeyError, TypeError, ValueError):
            raise self._failed(INVALID_IMAGE, "it is no image of a kind that is run here") from None
        if not 1 <= len(layers) <= LAYERS_MAX:
            raise self._failed(INVALID_IMAGE, f"it has {len(layers)} layers; 1 to {LAYERS_MAX} are read here")
        return Manifest(digest, config, layers)

    def _choose(self, index: Mapping[str, Any]) -> str:
        machine = platform.machine()
        wanted = ("linux", _ARCHITECTURES.get(machine, machine))
        there = []
        for entry in index.get("manifests") or ():
            about = entry.get("platform") or {}
            system = (about.get("os"), about.get("architecture"))
            if system == wanted and _DIGEST.match(str(entry.get("digest"))):
                return str(entry["digest"])
            there.append("/".join(map(str, system)))
        found = ", ".join(dict.fromkeys(there)) or "none"
        raise self._failed(
            INVALID_IMAGE, f"it has no variant for {'/'.join(wanted)}; there are: {found}"[:500]
        )

    def _denied(self) -> TransferFailed:
        how = "without credentials" if self._login is None else "with these credentials"
        return self._failed(
            INVALID_REGISTRY, f"the registry does not let it be pulled {how}, or has no such image"
        )

    def _unreached(self, fault: Exception) -> Exception:
        tls = tls_fault(fault)
        if tls is not None and not isinstance(tls, ssl.SSLEOFError):
            request = getattr(fault, "request", None)
            place = urlsplit(str(getattr(request, "url", "") or f"//{self._host}")).netloc.rpartition("@")[2]
            if isinstance(tls, ssl.SSLCertVerificationError):
                why = f"the certificate of {place} is not trusted by this host: {tls.verify_message}"
            elif tls.reason in _NO_TLS:
                why = f"{place} does not speak TLS; plain HTTP is for registries on the host itself"
            else:
                why = f"no TLS connection with {place}: {tls.reason or 'unknown reason'}"
            return self._failed(INVALID_REGISTRY, why)
        if isinstance(fault, requests.Timeout):
            return _Passing(MISC_ERROR, "no answer in time")
        return _Passing(INVALID_REGISTRY, "the registry cannot be reached")

    def _failed(self, code: str, text: str) -> TransferFailed:
        return TransferFailed(code, f"{self._image}: {text}", (("ImageName", str(self._image)),))


def _speaks_tls(fault: Exception) -> bool:
    tls = tls_fault(fault)
    return tls is not None and (tls.reason or "") not in _NO_TLS


def _pieces(answer: requests.Response) -> Any:
    try:
        yield from answer.raw.stream(_PIECE, decode_content=False)
    except (requests.RequestException, urllib3.exceptions.HTTPError, OSError):
        raise _Passing(MISC_ERROR, "the answer broke off") from None


def _read(raw: bytes) -> dict[str, Any]:
    try:
        found = json.loads(raw)
    except ValueError:
        found = None
    return found if isinstance(found, dict) else {}


def _blob(descriptor: Mapping[str, Any]) -> Blob:
    digest, size = str(descriptor["digest"]), int(descriptor["size"])
    if not _DIGEST.match(digest) or size < 0:
        raise ValueError("no descriptor of a blob")
    return Blob(digest, size)


def _basic(login: tuple[str, str]) -> str:
    return "Basic " + base64.b64encode(":".join(login).encode()).decode()


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
