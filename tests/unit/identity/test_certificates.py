"""Certificates: made once, kept, renewed when needed, and strict clients accept them."""

from __future__ import annotations

import socket
import ssl
import stat
import time
from pathlib import Path

import pytest
from cryptography import x509

from poolwright.api.identity import CertificateError, TlsFiles, ensure_tls
from tests.unit.identity.parts import HandClock

DAY_S = 86_400


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


def _bytes(files: TlsFiles) -> tuple[bytes, bytes, bytes]:
    return files.ca_file.read_bytes(), files.certificate_file.read_bytes(), files.key_file.read_bytes()


def _handshake(client: ssl.SSLObject, server: ssl.SSLObject, pipes: list[ssl.MemoryBIO]) -> None:
    to_client, from_client, to_server, from_server = pipes
    done: set[ssl.SSLObject] = set()
    for _ in range(20):
        for side in (client, server):
            try:
                side.do_handshake()
                done.add(side)
            except ssl.SSLWantReadError:
                pass
            to_server.write(from_client.read())
            to_client.write(from_server.read())
        if len(done) == 2:
            return
    raise AssertionError("the handshake did not end")


def connect(files: TlsFiles, name: str, *, at_s: float | None = None) -> None:
    """A TLS handshake in memory, with strict verification. The time of OpenSSL is the host's."""
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(files.certificate_file, files.key_file)
    trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    trusting.load_verify_locations(files.ca_file)
    trusting.verify_flags |= ssl.VERIFY_X509_STRICT | ssl.VERIFY_X509_PARTIAL_CHAIN
    pipes = [ssl.MemoryBIO() for _ in range(4)]
    client = trusting.wrap_bio(pipes[0], pipes[1], server_hostname=name)
    server = serving.wrap_bio(pipes[2], pipes[3], server_side=True)
    _handshake(client, server, pipes)


@pytest.fixture
def today() -> HandClock:
    return HandClock(time.time())


@pytest.mark.parametrize(
    "name", ["localhost", "127.0.0.1", "::1", "render1.localhost", "pool.example", "10.1.2.3"]
)
def test_strict_clients_accept_every_name(tmp_path: Path, today: HandClock, name: str) -> None:
    files = ensure_tls(tmp_path, today, ["render1.localhost", "Pool.Example", "10.1.2.3"])
    connect(files, name)


def test_other_names_are_refused(tmp_path: Path, today: HandClock) -> None:
    with pytest.raises(ssl.SSLCertVerificationError):
        connect(ensure_tls(tmp_path, today), "elsewhere.example")


def test_the_first_start_makes_everything_once(tmp_path: Path, clock: HandClock) -> None:
    first = ensure_tls(tmp_path, clock)
    second = ensure_tls(tmp_path, clock)
    assert (first.changed, second.changed) == (True, False)
    assert _bytes(first) == _bytes(second)
    assert {path.name for path in (tmp_path / "tls").iterdir()} == {
        "ca-key.pem",
        "ca.pem",
        "server-key.pem",
        "server.pem",
    }
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "tls").iterdir()}
    assert (modes["ca-key.pem"], modes["server-key.pem"]) == (0o600, 0o600)
    assert modes["ca.pem"] == 0o644
    assert socket.gethostname().lower() in first.names


def test_renewed_near_its_end_with_the_same_authority(tmp_path: Path, clock: HandClock) -> None:
    first = ensure_tls(tmp_path, clock)
    authority, certificate, key = _bytes(first)
    clock.seconds += 366 * DAY_S
    assert not ensure_tls(tmp_path, clock).changed
    clock.seconds += 2 * DAY_S
    renewed = ensure_tls(tmp_path, clock)
    assert renewed.changed
    assert (renewed.ca_file.read_bytes(), renewed.key_file.read_bytes()) == (authority, key)
    assert renewed.certificate_file.read_bytes() != certificate


def test_issued_anew_for_other_names(tmp_path: Path, clock: HandClock) -> None:
    authority, *_ = _bytes(ensure_tls(tmp_path, clock))
    more = ensure_tls(tmp_path, clock, ["render1.localhost"])
    assert more.changed
    assert "render1.localhost" in more.names
    assert more.ca_file.read_bytes() == authority
    assert not ensure_tls(tmp_path, clock, ["RENDER1.localhost", "localhost"]).changed


def test_the_authority_is_renewed_with_the_same_key(tmp_path: Path, clock: HandClock) -> None:
    first = ensure_tls(tmp_path, clock)
    old = x509.load_pem_x509_certificate(first.ca_file.read_bytes())
    clock.seconds += 3625 * DAY_S
    new = x509.load_pem_x509_certificate(ensure_tls(tmp_path, clock).ca_file.read_bytes())
    assert new.public_key() == old.public_key()
    assert new.subject == old.subject
    assert new.not_valid_after_utc > old.not_valid_after_utc


@pytest.mark.parametrize(
    "missing", [("ca.pem", "server.pem", "server-key.pem"), ("server.pem",), ("server-key.pem",)]
)
def test_a_crash_between_two_files_is_completed(
    tmp_path: Path, today: HandClock, missing: tuple[str, ...]
) -> None:
    ensure_tls(tmp_path, today)
    for name in missing:
        (tmp_path / "tls" / name).unlink()
    connect(ensure_tls(tmp_path, today), "localhost")


def test_a_certificate_for_another_key_is_replaced(tmp_path: Path, today: HandClock) -> None:
    """As after a crash between writing a new key and its certificate."""
    files = ensure_tls(tmp_path / "a", today)
    ensure_tls(tmp_path / "b", today).key_file.replace(files.key_file)
    again = ensure_tls(tmp_path / "a", today)
    assert again.changed
    connect(again, "localhost")


def test_without_the_authority_key_what_exists_still_serves(tmp_path: Path, today: HandClock) -> None:
    ensure_tls(tmp_path, today)
    (tmp_path / "tls" / "ca-key.pem").unlink()
    connect(ensure_tls(tmp_path, today), "localhost")
    with pytest.raises(CertificateError, match=r"ca-key\.pem is not there"):
        ensure_tls(tmp_path, today, ["new.example"])


@pytest.mark.parametrize("name", ["ca-key.pem", "ca.pem", "server-key.pem", "server.pem"])
def test_damaged_files_are_named(tmp_path: Path, clock: HandClock, name: str) -> None:
    ensure_tls(tmp_path, clock)
    (tmp_path / "tls" / name).write_text("not pem")
    with pytest.raises(CertificateError, match=name.replace(".", r"\.")):
        ensure_tls(tmp_path, clock)


def test_files_of_two_authorities_do_not_mix(tmp_path: Path, clock: HandClock) -> None:
    ensure_tls(tmp_path / "a", clock)
    ensure_tls(tmp_path / "b", clock)
    (tmp_path / "a/tls/ca.pem").replace(tmp_path / "b/tls/ca.pem")
    with pytest.raises(CertificateError, match="do not belong together"):
        ensure_tls(tmp_path / "b", clock)


@pytest.mark.parametrize("name", ["", "a b", "-x", "a..b", "http://x", "x" * 64, "*", "a.*.b", "ü.example"])
def test_unusable_names_are_named(tmp_path: Path, clock: HandClock, name: str) -> None:
    with pytest.raises(CertificateError, match="neither a host name nor an IP address"):
        ensure_tls(tmp_path, clock, [name])
    assert not (tmp_path / "tls").exists()


def test_an_open_key_file_is_closed_to_others(
    tmp_path: Path, clock: HandClock, caplog: pytest.LogCaptureFixture
) -> None:
    files = ensure_tls(tmp_path, clock)
    files.key_file.chmod(0o644)
    ensure_tls(tmp_path, clock)
    assert stat.S_IMODE(files.key_file.stat().st_mode) == 0o600
    assert "accessible to others" in caplog.text


def test_an_unwritable_place_is_a_clear_error(tmp_path: Path, clock: HandClock) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CertificateError, match="cannot read or write"):
        ensure_tls(tmp_path / "file", clock)
