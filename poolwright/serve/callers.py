"""Who may call the planes of the service."""

from __future__ import annotations

from dataclasses import dataclass

from poolwright.api.auth import BearerVerifier, Plane, Principal, authenticate
from poolwright.api.auth.requests import Scope
from poolwright.api.identity import TokenIssuer
from poolwright.api.known import KnownCallers
from poolwright.serve.system import SystemClock


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
