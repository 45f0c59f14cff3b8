"""What a job needs is loaded before the first one is forked: each starts at once, shares the memory, and may load no
code itself once it has given up its rights (parting.py)."""

from __future__ import annotations

import socket

#: What the libraries would load at its first use.
_LATE = (
    "azure.core.pipeline.transport",
    "azure.core.pipeline.transport._requests_basic",
    "azure.core.rest._http_response_impl",
    "azure.core.rest._requests_basic",
    "email.parser",
    "encodings.ascii",
    "encodings.cp437",
    "encodings.idna",
    "encodings.latin_1",
    "encodings.punycode",
    "encodings.utf_8_sig",
    "http.client",
    "idna",
    "requests",
    "stringprep",
    "xml.etree.ElementTree",
    "zipfile",
)


def load() -> None:
    """Load all of it."""
    for name in _LATE:
        __import__(name)
    socket.getaddrinfo("127.0.0.1", 1, type=socket.SOCK_STREAM)
