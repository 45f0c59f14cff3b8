"""Whom programs of tasks trust that are to speak with the service.

Its certificate is issued by an authority of its own, which no image knows. Every task is told a file with that
authority alone (POOLWRIGHT_CA_FILE): programs that speak with the service's own blob storage by signed addresses need
it. A task that was given a token finds the authorities of its image and that of the service in one file, named by the
variables that OpenSSL, requests and curl look at; variables of its own stay. Each is made when the first such task
starts: other nodes do without the copy.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping

from poolwright.agent.layout import AUTHORITY, NODE_ROOT, TRUST

_PLACE = f"/{NODE_ROOT}/{TRUST}"
_AUTHORITY = f"/{NODE_ROOT}/{AUTHORITY}"
_TOKEN = "AZ_BATCH_AUTHENTICATION_TOKEN"  # noqa: S105 - the name of a variable
_VARIABLE = "POOLWRIGHT_CA_FILE"
_NAMES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
#: Where distributions keep all authorities in one file (Debian and SUSE, Red Hat, Alpine).
_BUNDLES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem")
_BUNDLE_BYTES_MAX = 8 << 20


def files(environment: Mapping[str, str]) -> list[str]:
    """Those of these files that an execution is told of."""
    told = {environment.get(name) for name in (_VARIABLE, *_NAMES)}
    return [place for place in (_AUTHORITY, _PLACE) if place in told]


class Trust:
    """Of one machine; `authority` is the PEM text of the service's authority, empty where it is not told."""

    def __init__(self, authority: str) -> None:
        self._authority = authority
        self._made: set[str] = set()

    def told(self, environment: dict[str, str]) -> dict[str, str]:
        """The environment of an execution, with the variables for it. Raises OSError."""
        if not self._authority:
            return environment
        self._make(_AUTHORITY)
        told = {_VARIABLE: _AUTHORITY}
        if _TOKEN in environment:
            self._make(_PLACE)
            told |= dict.fromkeys(_NAMES, _PLACE)
        return {**told, **environment}

    def _make(self, place: str) -> None:
        if place in self._made:
            return
        text = _image_bundle().rstrip(b"\n") if place == _PLACE else b""
        new = f"{place}.new"
        with contextlib.suppress(FileNotFoundError):
            os.unlink(new)
        fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        with os.fdopen(fd, "wb") as stream:
            stream.write(text + b"\n" * bool(text) + self._authority.encode())
        os.chmod(new, 0o644)
        os.rename(new, place)
        self._made.add(place)


def _image_bundle() -> bytes:
    for place in _BUNDLES:
        with contextlib.suppress(OSError), open(place, "rb") as stream:
            return stream.read(_BUNDLE_BYTES_MAX)
    return b""
