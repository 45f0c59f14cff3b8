"""Whom programs of tasks trust that are to speak with the service.

Its certificate is issued by an authority of its own, which no image knows. So a task that was given a token finds the
authorities of its image and that of the service in one file, named by the variables that OpenSSL, requests and curl
look at; variables of its own stay. The file is made when the first such task starts: other nodes do without the copy.
"""

from __future__ import annotations

import contextlib
import os

from poolwright.agent.layout import NODE_ROOT, TRUST

_PLACE = f"/{NODE_ROOT}/{TRUST}"
_TOKEN = "AZ_BATCH_AUTHENTICATION_TOKEN"  # noqa: S105 - the name of a variable
_NAMES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
#: Where distributions keep all authorities in one file (Debian and SUSE, Red Hat, Alpine).
_BUNDLES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem")
_BUNDLE_BYTES_MAX = 8 << 20


class Trust:
    """Of one machine; `authority` is the PEM text of the service's authority, empty where it is not told."""

    def __init__(self, authority: str) -> None:
        self._authority = authority
        self._made = False

    def told(self, environment: dict[str, str]) -> dict[str, str]:
        """The environment of an execution, with the variables where it has a token. Raises OSError."""
        if _TOKEN not in environment or not self._authority:
            return environment
        if not self._made:
            self._make()
        return {**dict.fromkeys(_NAMES, _PLACE), **environment}

    def _make(self) -> None:
        text = _image_bundle().rstrip(b"\n")
        new = f"{_PLACE}.new"
        with contextlib.suppress(FileNotFoundError):
            os.unlink(new)
        fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        with os.fdopen(fd, "wb") as stream:
            stream.write(text + b"\n" * bool(text) + self._authority.encode())
        os.chmod(new, 0o644)
        os.rename(new, _PLACE)
        self._made = True


def _image_bundle() -> bytes:
    for place in _BUNDLES:
        with contextlib.suppress(OSError), open(place, "rb") as stream:
            return stream.read(_BUNDLE_BYTES_MAX)
    return b""
