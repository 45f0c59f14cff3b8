"""The formats certificates come in: PKCS#12 (pfx) and X.509 (cer, as DER or PEM)."""

from __future__ import annotations

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, pkcs12

from poolwright.wire.convert.certificate import Unreadable

_PEM = b"-----BEGIN"


class Formats:
    """See wire/convert/certificate.py, CertificateFiles."""

    def certificates(self, data: bytes, format: str, password: str | None) -> list[bytes]:
        try:
            found = _of_pfx(data, password) if format == "pfx" else [_of_cer(data)]
        except (ValueError, TypeError, UnsupportedAlgorithm):
            hint = " that its password opens" if format == "pfx" else ""
            raise Unreadable(f"It is no {format}{hint}.") from None
        if not found:
            raise Unreadable("There is no certificate in it.")
        return [one.public_bytes(Encoding.DER) for one in found]


def _of_pfx(data: bytes, password: str | None) -> list[x509.Certificate]:
    _, own, others = pkcs12.load_key_and_certificates(data, password.encode() if password else None)
    return [one for one in (own, *others) if one is not None]


def _of_cer(data: bytes) -> x509.Certificate:
    return x509.load_pem_x509_certificate(data) if _PEM in data else x509.load_der_x509_certificate(data)


FILES = Formats()
