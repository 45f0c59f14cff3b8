"""Real parts of the identity room, wired small: a clock set by hand, principals and keys in dictionaries."""

from __future__ import annotations

import base64
from pathlib import Path
from urllib.parse import unquote

from poolwright.api.auth import AccountKeys, Audiences, BearerVerifier, ServicePrincipal
from poolwright.api.auth.requests import Scope
from poolwright.api.identity import KeyRing, TokenIssuer, hash_client_secret, new_client_secret
from poolwright.domain.clock import SECOND, Instant

TENANT = "6f1e9c1a-3b52-4c2e-9d0f-5a4f2f1f7b11"
CLIENT = "0b3d7f52-8a5e-4c55-9f5e-0d6f3a2b1c4d"
OBJECT = "9a8b7c6d-1111-4222-8333-444455556666"
ACCOUNT = "render1"
PRIMARY = base64.b64encode(bytes(range(64))).decode()
SECONDARY = base64.b64encode(bytes(range(64, 128))).decode()
START_S = 1_800_000_000
HOSTS = ("localhost", "127.0.0.1", "::1")
PORT = 8443


class HandClock:
    """A clock that moves when told."""

    def __init__(self, seconds: float = START_S) -> None:
        self.seconds = seconds

    def now(self) -> Instant:
        return int(self.seconds * SECOND)


class Directory:
    """Principals in memory."""

    def __init__(self, *principals: ServicePrincipal) -> None:
        self.by_id = {entry.client_id.lower(): entry for entry in principals}
        self.lookups = 0

    def find(self, client_id: str) -> ServicePrincipal | None:
        self.lookups += 1
        return self.by_id.get(client_id.lower())


class KeyBook:
    """Account keys in memory."""

    def __init__(self, *accounts: AccountKeys) -> None:
        self.by_name = {entry.account.lower(): entry for entry in accounts}

    def account_keys(self, account: str) -> AccountKeys | None:
        return self.by_name.get(account.lower())


class IdentityParts:
    """Key ring, issuer and verifier of one data directory, with one service principal."""

    def __init__(self, data_dir: Path, port: int = PORT, clock: HandClock | None = None) -> None:
        self.clock = clock or HandClock()
        self.secret = new_client_secret()
        self.principal = ServicePrincipal(
            CLIENT, OBJECT, "demo", (hash_client_secret(self.secret),), frozenset({"contributor"})
        )
        self.directory = Directory(self.principal)
        self.audiences = Audiences(HOSTS, (port,))
        self.ring = KeyRing.open(data_dir, self.clock)
        self.issuer = TokenIssuer(
            tenant_id=TENANT,
            keys=self.ring,
            principals=self.directory,
            audiences=self.audiences,
            clock=self.clock,
            tenant_domains=("lab.example",),
        )
        self.verifier = BearerVerifier(
            tenant_id=TENANT,
            keys=self.ring,
            audiences=self.audiences,
            principals=self.directory,
            authority=f"localhost:{port}",
        )
        self.keys = KeyBook(AccountKeys.from_base64(ACCOUNT, PRIMARY, SECONDARY))


def asgi_scope(method: str, target: str, headers: list[tuple[str, str]]) -> Scope:
    """What an ASGI server makes of a request line target and headers."""
    path, _, query = target.partition("?")
    return {
        "type": "http",
        "method": method,
        "scheme": "https",
        "path": unquote(path),
        "raw_path": path.encode("ascii"),
        "query_string": query.encode("ascii"),
        "headers": [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers],
        "client": ("127.0.0.1", 50000),
        "server": ("127.0.0.1", 8443),
    }
