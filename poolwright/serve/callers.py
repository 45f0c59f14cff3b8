"""Who may call the planes of the service."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from poolwright.api.auth import Audiences, BearerVerifier, Plane, Principal, authenticate
from poolwright.api.auth.requests import Scope
from poolwright.api.identity import KeyRing, TlsFiles, TokenIssuer
from poolwright.api.known import KnownCallers, Principals
from poolwright.commands import first_start
from poolwright.commands.first_start import Identity
from poolwright.serve.system import SystemClock
from poolwright.store.base import Store


@dataclass(frozen=True, slots=True)
class Callers:
    """Who may call: known accounts and clients, and the tokens they bring."""

    known: KnownCallers
    issuer: TokenIssuer
    verifier: BearerVerifier
    clock: SystemClock

    def to_data(self, scope: Scope, account: str | None) -> Principal:
        return authenticate(
            scope,
            plane=Plane.BATCH,
            keys=self.known,
            tokens=self.verifier,
            now=self.clock.now(),
            account=account,
        )

    def to_management(self, scope: Scope) -> Principal:
        return authenticate(
            scope, plane=Plane.ARM, keys=self.known, tokens=self.verifier, now=self.clock.now()
        )


async def open_callers(
    store: Store, data_dir: Path, identity: Identity, tls: TlsFiles, port: int, clock: SystemClock
) -> Callers:
    """Those whom the store of a data directory knows, with its signing keys."""
    known = KnownCallers(store, first_start.ACCOUNT)
    await known.refresh()
    ring = KeyRing.open(data_dir, clock)
    audiences = Audiences(tls.names, (port, 443))
    principals = Principals(known)
    issuer = TokenIssuer(
        tenant_id=identity.tenant_id, keys=ring, principals=principals, audiences=audiences, clock=clock
    )
    verifier = BearerVerifier(
        tenant_id=identity.tenant_id,
        keys=ring,
        audiences=audiences,
        principals=principals,
        authority=f"localhost:{port}",
    )
    return Callers(known, issuer, verifier, clock)
