"""Certificates of api-versions before 2025-06-01: bodies to domain values, and back to answers."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Sequence
from typing import Any, Protocol

from msgspec import Struct, field

from poolwright.domain.certificate import ALGORITHM, VISIBILITIES, Certificate, CertificateReference
from poolwright.domain.clock import Instant
from poolwright.domain.errors import ServiceError, bad_property, within
from poolwright.domain.limits import CERTIFICATE_BYTES_MAX, CERTIFICATE_REFERENCES_MAX
from poolwright.domain.states import CertificateState
from poolwright.wire.bodies import convert_body, decode_body
from poolwright.wire.convert.shared import Document
from poolwright.wire.links import Links
from poolwright.wire.times import iso
from poolwright.wire.versions import CERTIFICATES_UNTIL, ApiVersion

FORMATS = ("pfx", "cer")
LOCATIONS = ("currentuser", "localmachine")
_THUMBPRINT = re.compile(r"[0-9a-fA-F]{40}\Z")
_REFERENCES = "certificateReferences"


class Unreadable(Exception):
    """The data is no certificate of its format, or the password does not open it; the message says which."""


class CertificateFiles(Protocol):
    """Who knows the formats of certificates."""

    def certificates(self, data: bytes, format: str, password: str | None) -> list[bytes]:
        """The certificates in a file of `format` (pfx or cer), each as DER. Raises Unreadable."""
        ...


class _New(Struct, forbid_unknown_fields=True, rename="camel"):
    thumbprint: str
    thumbprint_algorithm: str
    data: str
    certificate_format: str = "pfx"
    password: str | None = None


class _Reference(Struct, forbid_unknown_fields=True, rename="camel"):
    thumbprint: str
    thumbprint_algorithm: str
    store_location: str | None = None
    store_name: str | None = None
    visibility: list[str] | None = field(default=None)


def read_certificate(raw: bytes, account: str, files: CertificateFiles, now: Instant) -> Certificate:
    """The certificate of an add-certificate body; its thumbprint is that of its data. Raises ServiceError (400)."""
    body = decode_body(raw, _New)
    thumbprint = read_thumbprint(body.thumbprint_algorithm, body.thumbprint)
    format = body.certificate_format.lower()
    if format not in FORMATS:
        raise bad_property("certificateFormat", body.certificate_format, f"One of {', '.join(FORMATS)}.")
    if format == "cer" and body.password is not None:
        raise bad_property("password", "(not shown)", "Only a pfx has a password.")
    data = _bytes(body.data)
    try:
        found = files.certificates(data, format, body.password)
    except Unreadable as bad:
        raise bad_property("data", "(not shown)", str(bad)) from None
    public = next((der for der in found if _thumbprint(der) == thumbprint), None)
    if public is None:
        reason = f"The data holds the thumbprint {', '.join(map(_thumbprint, found))}."
        raise bad_property("thumbprint", body.thumbprint, reason)
    shown = base64.b64encode(public).decode()
    content = base64.b64encode(data).decode()
    return Certificate(
        account, thumbprint, format, shown, CertificateState.ACTIVE, now, content, body.password
    )


def read_thumbprint(algorithm: str, thumbprint: str) -> str:
    """The thumbprint in lower case. Raises InvalidPropertyValue (400)."""
    if algorithm.lower() != ALGORITHM:
        raise bad_property("thumbprintAlgorithm", algorithm[:100], "It must be sha1.")
    if not _THUMBPRINT.match(thumbprint):
        raise bad_property("thumbprint", thumbprint[:100], "A SHA-1 thumbprint has 40 hexadecimal digits.")
    return thumbprint.lower()


def _bytes(text: str) -> bytes:
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise bad_property("data", "(not shown)", "It must be base64.") from None
    if not 0 < len(data) <= CERTIFICATE_BYTES_MAX:
        reason = f"A certificate has 1 to {CERTIFICATE_BYTES_MAX} bytes."
        raise bad_property("data", f"{len(data)} bytes", reason)
    return data


def _thumbprint(der: bytes) -> str:
    return hashlib.sha1(der, usedforsecurity=False).hexdigest()


def read_references(given: Any) -> tuple[CertificateReference, ...]:
    """A pool's references as values; none for None. Raises ServiceError (400)."""
    if given is None:
        return ()
    try:
        bodies = convert_body(given, list[_Reference])
    except ServiceError as error:
        raise within(_REFERENCES, error) from None
    if len(bodies) > CERTIFICATE_REFERENCES_MAX:
        reason = f"At most {CERTIFICATE_REFERENCES_MAX} certificates may be referred to."
        raise bad_property(_REFERENCES, f"{len(bodies)} references", reason)
    found: dict[str, CertificateReference] = {}
    for index, body in enumerate(bodies):
        where = f"{_REFERENCES}[{index}]."
        try:
            one = _reference(body)
        except ServiceError as error:
            raise within(where, error) from None
        if one.thumbprint in found:
            raise bad_property(where + "thumbprint", one.thumbprint, "The certificate is referred to twice.")
        found[one.thumbprint] = one
    return tuple(found.values())


def _reference(body: _Reference) -> CertificateReference:
    thumbprint = read_thumbprint(body.thumbprint_algorithm, body.thumbprint)
    location = (body.store_location or LOCATIONS[0]).lower()
    if location not in LOCATIONS:
        raise bad_property("storeLocation", body.store_location or "", f"One of {', '.join(LOCATIONS)}.")
    asked = VISIBILITIES if body.visibility is None else [one.lower() for one in body.visibility]
    for one in asked:
        if one not in VISIBILITIES:
            raise bad_property("visibility", one[:100], f"Any of {', '.join(VISIBILITIES)}.")
    visibility = tuple(one for one in VISIBILITIES if one in asked) or VISIBILITIES
    return CertificateReference(thumbprint, location, body.store_name or "My", visibility)


def show_references(references: Sequence[CertificateReference]) -> list[Document]:
    """References as answered, with their defaults spelled out."""
    return [
        {
            "thumbprint": one.thumbprint,
            "thumbprintAlgorithm": ALGORITHM,
            "storeLocation": one.location,
            "storeName": one.store,
            "visibility": list(one.visibility),
        }
        for one in references
    ]


def refuse_references(given: Any, version: ApiVersion, name: str = _REFERENCES) -> None:
    """Raises UnsupportedProperty (400) for references in a version that has no certificates."""
    if given is not None and version >= CERTIFICATES_UNTIL:
        reason = f"Since {CERTIFICATES_UNTIL} there are no certificates."
        raise ServiceError("UnsupportedProperty", None, (("PropertyName", name), ("Reason", reason)))


def show_certificate(certificate: Certificate, links: Links) -> Document:
    """A certificate as answered, without `odata.metadata`; nothing of its private part is in it."""
    shown: Document = {
        "thumbprint": certificate.thumbprint,
        "thumbprintAlgorithm": ALGORITHM,
        "url": links.certificate(certificate.thumbprint),
        "state": certificate.state.value,
        "stateTransitionTime": iso(certificate.state_at),
        "publicData": certificate.public,
    }
    if certificate.previous_state is not None and certificate.previous_at is not None:
        shown["previousState"] = certificate.previous_state.value
        shown["previousStateTransitionTime"] = iso(certificate.previous_at)
    failure = certificate.failure
    if failure is not None:
        values = [{"name": name, "value": value} for name, value in failure.values]
        shown["deleteCertificateError"] = {
            "code": failure.code,
            "message": failure.message,
            "values": values,
        }
    return shown
