"""The server's own certificate authority and certificate.

Made at the first start in `<data>/tls/`: `ca-key.pem`, `ca.pem`, `server-key.pem`, `server.pem`. Clients are
given `ca.pem` only. Certificates follow RFC 5280 closely enough for OpenSSL's strict verification.
"""

from __future__ import annotations

import ipaddress
import logging
import re
import secrets
import socket
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from poolwright.api.identity.private_files import make_directory, read_private, write_file
from poolwright.domain.clock import SECOND, Clock

CA_LIFETIME = timedelta(days=3650)
SERVER_LIFETIME = timedelta(days=397)
"""The longest lifetime every common TLS client accepts for a server certificate."""
RENEW_BEFORE = timedelta(days=30)
BACKDATE = timedelta(hours=1)
"""Certificates start a little in the past, for clients whose clock is behind ours."""
MAX_NAMES = 500

_LOG = logging.getLogger(__name__)
_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_DNS_NAME = re.compile(rf"(?:\*\.)?{_LABEL}(?:\.{_LABEL})*\Z")


class CertificateError(Exception):
    """The TLS files cannot be used or made; the text says which one, why, and what to do."""


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """Paths for the TLS listener and its clients, and the names the certificate is good for.

    `changed` is true when this call issued a new server certificate.
    """

    ca_file: Path
    certificate_file: Path
    key_file: Path
    names: tuple[str, ...]
    changed: bool


def ensure_tls(
    data_dir: Path,
    clock: Clock,
    extra_names: Collection[str] = (),
) -> TlsFiles:
    """Make or renew what is missing, near its end, or made for other names; keep the rest.

    `extra_names` are host names, wildcard names or IP addresses added to localhost, the loopback addresses
    and this host's name; a batch account is reached as `<account>.localhost`, which must be named one by one
    because OpenSSL does not match `*.localhost` (other TLS libraries do, so that is in the certificate too).
    Only one process may call this for a data directory at a time. Raises CertificateError.
    """
    directory = data_dir / "tls"
    names = certificate_names(extra_names)
    now = datetime.fromtimestamp(clock.now() // SECOND, UTC)
    try:
        make_directory(directory, 0o755)
        authority = _authority(directory, now)
        changed = _server(directory, names, authority, now)
    except OSError as error:
        raise CertificateError(f"cannot read or write the TLS files in {directory}: {error}") from error
    return TlsFiles(
        directory / "ca.pem", directory / "server.pem", directory / "server-key.pem", names, changed
    )


def certificate_names(extra_names: Collection[str]) -> tuple[str, ...]:
    """The names a certificate needs, normalised, without repeats. CertificateError for an unusable one."""
    found = dict.fromkeys(("localhost", "*.localhost", "127.0.0.1", "::1"))
    try:
        found[_normalised(socket.gethostname())] = None
    except CertificateError as error:
        _LOG.warning("the certificate leaves out this host's own name: %s", error)
    for name in extra_names:
        found[_normalised(name)] = None
    if len(found) > MAX_NAMES:
        raise CertificateError(f"a certificate may carry at most {MAX_NAMES} names, {len(found)} are wanted")
    return tuple(found)


def _normalised(name: str) -> str:
    text = name.strip("[]").lower()
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        pass
    if len(text) > 253 or not _DNS_NAME.match(text):
        raise CertificateError(f"{name!r} is neither a host name nor an IP address")
    return text


@dataclass(frozen=True, slots=True)
class _Authority:
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey | None


def _authority(directory: Path, now: datetime) -> _Authority:
    """The CA, made when there is none, re-issued with the same key near its end.

    The key is written first, so a crash in between leaves a key without certificate, which is completed here.
    A certificate without key is an authority kept elsewhere: usable until something must be issued.
    """
    key_path, path = directory / "ca-key.pem", directory / "ca.pem"
    key = _load_key(key_path)
    certificate = _load_certificate(path)
    if certificate is not None:
        if key is not None and certificate.public_key() != key.public_key():
            raise CertificateError(
                f"{path} and {key_path} do not belong together; restore the missing one from a backup, or "
                "remove the whole directory to start with a new authority (clients then need the new ca.pem)"
            )
        if key is None or now + RENEW_BEFORE < certificate.not_valid_after_utc:
            return _Authority(certificate, key)
    if key is None:
        key = ec.generate_private_key(ec.SECP256R1())
        write_file(key_path, _pem(key), 0o600)
    subject = certificate.subject if certificate is not None else _authority_name()
    certificate = _self_signed(subject, key, now)
    write_file(path, certificate.public_bytes(serialization.Encoding.PEM), 0o644)
    _LOG.info("issued the CA certificate %s, valid until %s", path, certificate.not_valid_after_utc.date())
    return _Authority(certificate, key)


def _authority_name() -> x509.Name:
    # Distinct names keep the authorities of several data directories apart in one trust store.
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Poolwright"),
            x509.NameAttribute(NameOID.COMMON_NAME, f"Poolwright local CA {secrets.token_hex(4)}"),
        ]
    )


def _server(directory: Path, names: tuple[str, ...], authority: _Authority, now: datetime) -> bool:
    """Issue the server certificate unless the present one still serves. Returns whether it did."""
    key_path, path = directory / "server-key.pem", directory / "server.pem"
    key = _load_key(key_path)
    certificate = _load_certificate(path)
    if key is not None and certificate is not None and _serves(certificate, key, names, authority, now):
        return False
    if authority.key is None:
        raise CertificateError(
            f"{path} must be issued anew (missing, near its end, or made for other names) but "
            f"{directory / 'ca-key.pem'} is not there to sign it; restore the key, or remove "
            f"{directory / 'ca.pem'} to start with a new authority"
        )
    if key is None:
        key = ec.generate_private_key(ec.SECP256R1())
        write_file(key_path, _pem(key), 0o600)
    certificate = _signed(names, key, authority.certificate, authority.key, now)
    write_file(path, certificate.public_bytes(serialization.Encoding.PEM), 0o644)
    _LOG.info(
        "issued the server certificate %s, valid until %s", path, certificate.not_valid_after_utc.date()
    )
    return True


def _serves(
    certificate: x509.Certificate,
    key: ec.EllipticCurvePrivateKey,
    names: tuple[str, ...],
    authority: _Authority,
    now: datetime,
) -> bool:
    try:
        certificate.verify_directly_issued_by(authority.certificate)
    except (InvalidSignature, ValueError, TypeError):
        return False
    try:
        held = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return False
    return (
        certificate.public_key() == key.public_key()
        and certificate.not_valid_before_utc <= now
        and now + RENEW_BEFORE < certificate.not_valid_after_utc
        and {_shown(name) for name in held} == set(names)
    )


def _shown(name: x509.GeneralName) -> str:
    return str(name.value)


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _key_usage(*, signing: bool, issuing: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=signing,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=issuing,
        crl_sign=issuing,
        encipher_only=False,
        decipher_only=False,
    )


def _self_signed(name: x509.Name, key: ec.EllipticCurvePrivateKey, now: datetime) -> x509.Certificate:
    public = key.public_key()
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATE)
        .not_valid_after(now + CA_LIFETIME)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(signing=False, issuing=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .sign(key, hashes.SHA256())
    )


def _signed(
    names: tuple[str, ...],
    key: ec.EllipticCurvePrivateKey,
    authority: x509.Certificate,
    authority_key: ec.EllipticCurvePrivateKey,
    now: datetime,
) -> x509.Certificate:
    identifier = authority.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Poolwright server")]))
        .issuer_name(authority.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATE)
        .not_valid_after(min(now + SERVER_LIFETIME, authority.not_valid_after_utc))
        .add_extension(x509.SubjectAlternativeName([_general_name(name) for name in names]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(signing=True, issuing=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), critical=False
        )
        .sign(authority_key, hashes.SHA256())
    )


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _load_key(path: Path) -> ec.EllipticCurvePrivateKey | None:
    content = read_private(path)
    if content is None:
        return None
    try:
        key = serialization.load_pem_private_key(content, password=None)
    except (ValueError, TypeError):
        key = None
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise CertificateError(
            f"{path} is not an unencrypted EC private key in PEM form; restore or remove it"
        )
    return key


def _load_certificate(path: Path) -> x509.Certificate | None:
    try:
        return x509.load_pem_x509_certificate(path.read_bytes())
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise CertificateError(
            f"{path} is not a certificate in PEM form ({error}); restore or remove it"
        ) from error
