"""Certificates made for a test."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509.oid import NameOID

PASSWORD = "opens the pfx"


@dataclass(frozen=True)
class Made:
    """A self-signed certificate in all the forms a client may send."""

    thumbprint: str
    der: bytes
    pem: bytes
    pfx: bytes  # with PASSWORD
    open_pfx: bytes  # without one

    @property
    def data(self) -> str:
        return base64.b64encode(self.pfx).decode()

    @property
    def public(self) -> str:
        return base64.b64encode(self.der).decode()


def make(name: str) -> Made:
    """A certificate of this common name, good for a day."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    der = made.public_bytes(serialization.Encoding.DER)
    pfx = [
        pkcs12.serialize_key_and_certificates(name.encode(), key, made, None, how)
        for how in (
            serialization.BestAvailableEncryption(PASSWORD.encode()),
            serialization.NoEncryption(),
        )
    ]
    pem = made.public_bytes(serialization.Encoding.PEM)
    return Made(hashlib.sha1(der, usedforsecurity=False).hexdigest(), der, pem, pfx[0], pfx[1])
