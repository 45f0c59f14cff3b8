"""Bearer tokens: verification, and a cache that makes the second use of a token nearly free."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

from joserfc import jwt
from joserfc.errors import ExpiredTokenError, JoseError
from joserfc.jwk import KeySet

from poolwright.api.auth.audiences import ARM_RESOURCE, BATCH_RESOURCE, Audiences, Plane
from poolwright.api.auth.errors import AuthError, detail
from poolwright.api.auth.principal import Principal, Principals
from poolwright.domain.clock import SECOND, Instant

CLOCK_SKEW_S = 60
"""Leeway on nbf and exp. Small: issuer and verifier are the same machine unless told otherwise."""

RECHECK_S = 30.0
"""How long a cached token is used without looking its principal up again, so also how long a removed
principal or a changed role may keep its old rights."""

MAX_CACHED_TOKENS = 4096
ALGORITHMS = ("RS256",)
#: The client id in tokens of tasks; their object id is the name of the execution.
TASK_CLIENT = "task"
_CLAIMS = ("iss", "tid", "aud", "oid", "appid")


class VerificationKeys(Protocol):
    """Where the public keys of the trusted issuer come from."""

    def key_set(self) -> KeySet:
        """The keys tokens may be signed with now, retired ones included while their tokens live."""


class TokenVerifier(Protocol):
    """What `authenticate` needs of a verifier."""

    def verify(self, token: str, plane: Plane, authority: str | None, now: Instant) -> Principal:
        """The caller named by the token, or AuthError 401 with a challenge."""

    def challenge(self, plane: Plane, authority: str | None) -> AuthError:
        """The 401 for a request without any credentials."""


@dataclass(frozen=True, slots=True)
class _Verified:
    plane: Plane
    client_id: str
    principal: Principal
    not_before_s: float
    expires_s: float
    recheck_s: float


class BearerVerifier:
    """Verifies RS256 tokens of one issuer. Safe to use from several threads.

    `tenant_id` is the GUID tokens must carry; the issuer is then `https://sts.windows.net/<tenant>/`
    unless given. `authority` is the `host[:port]` named in challenges when the request has no usable one.
    """

    def __init__(
        self,
        *,
        tenant_id: str,
        keys: VerificationKeys,
        audiences: Audiences,
        principals: Principals,
        authority: str,
        issuer: str | None = None,
    ) -> None:
        self._tenant_id = tenant_id
        self._issuer = issuer or issuer_of(tenant_id)
        self._keys = keys
        self._audiences = audiences
        self._principals = principals
        self._authority = authority
        self._cache: OrderedDict[bytes, _Verified] = OrderedDict()
        self._lock = threading.Lock()

    def verify(self, token: str, plane: Plane, authority: str | None, now: Instant) -> Principal:
        """The caller named by the token.

        AuthError 401 when it is malformed, forged, expired, not yet valid, meant for another plane or
        tenant, or its principal is gone.
        """
        now_s = now / SECOND
        refuse = _Refusal(plane, self._challenge_header, authority or self._authority)
        digest = hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()
        with self._lock:
            known = self._cache.get(digest)
            if known is not None:
                self._cache.move_to_end(digest)
        if known is None or now_s >= known.recheck_s:
            known = self._check(token, known, now_s, refuse)
            self._remember(digest, known)
        if now_s >= known.expires_s + CLOCK_SKEW_S:
            raise refuse.expired()
        if now_s < known.not_before_s - CLOCK_SKEW_S:
            raise refuse.invalid("The token is not valid yet.")
        if known.plane is not plane:
            raise refuse.audience(f"The token is meant for '{known.plane}', this is '{plane}'.")
        return known.principal

    def challenge(self, plane: Plane, authority: str | None) -> AuthError:
        """The 401 for a request without any credentials."""
        return _Refusal(plane, self._challenge_header, authority or self._authority).missing()

    def _check(self, token: str, known: _Verified | None, now_s: float, refuse: _Refusal) -> _Verified:
        """Verify a token seen for the first time, or look up again the principal of one verified before."""
        if known is None:
            claims = self._claims(token, now_s, refuse)
            principal = task_principal(claims) or self._principal(claims["appid"], claims["oid"], refuse)
            plane = self._audiences.plane_of(claims["aud"])
            if plane is None:
                raise refuse.audience("The token's audience is not a resource of this server.")
            limits = float(claims["nbf"]), float(claims["exp"])
            return _Verified(plane, claims["appid"], principal, *limits, now_s + RECHECK_S)
        if known.principal.kind == "task":
            return replace(known, recheck_s=now_s + RECHECK_S)
        principal = self._principal(known.client_id, known.principal.object_id, refuse)
        return replace(known, principal=principal, recheck_s=now_s + RECHECK_S)

    def _principal(self, client_id: str, object_id: str, refuse: _Refusal) -> Principal:
        found = self._principals.find(client_id)
        # A client id may be given out again after its principal was deleted; the object id never is.
        if found is None or not found.enabled or found.object_id != object_id:
            raise refuse.invalid("The service principal of the token no longer exists or is disabled.")
        return Principal("token", None, found.object_id, found.name, found.roles)

    def _claims(self, token: str, now_s: float, refuse: _Refusal) -> Mapping[str, Any]:
        try:
            decoded = jwt.decode(token, self._keys.key_set(), algorithms=list(ALGORITHMS))
        except (JoseError, ValueError):
            # The library's text may quote parts of the token.
            raise refuse.invalid("The token is malformed, or no key of this issuer signed it.") from None
        registry = jwt.JWTClaimsRegistry(
            now=int(now_s), leeway=CLOCK_SKEW_S, exp={"essential": True}, nbf={"essential": True}
        )
        try:
            registry.validate(decoded.claims)
        except ExpiredTokenError:
            raise refuse.expired() from None
        except JoseError:
            raise refuse.invalid(
                "The token is not valid at this time, or a time claim is malformed."
            ) from None
        claims = decoded.claims
        if not all(isinstance(claims.get(name), str) for name in _CLAIMS):
            raise refuse.invalid(f"The token lacks one of the claims {', '.join(_CLAIMS)}.")
        if claims["iss"] != self._issuer or claims["tid"] != self._tenant_id:
            raise refuse.tenant()
        return claims

    def _remember(self, digest: bytes, verified: _Verified) -> None:
        with self._lock:
            self._cache[digest] = verified
            self._cache.move_to_end(digest)
            while len(self._cache) > MAX_CACHED_TOKENS:
                self._cache.popitem(last=False)

    def _challenge_header(self, plane: Plane, authority: str, error: str | None, text: str) -> dict[str, str]:
        resource = BATCH_RESOURCE if plane is Plane.BATCH else ARM_RESOURCE
        parts = [f'authorization_uri="https://{authority}/{self._tenant_id}"', f'resource_id="{resource}"']
        if error:
            parts += [f'error="{error}"', f'error_description="{text}"']
        return {"WWW-Authenticate": "Bearer " + ", ".join(parts)}


def task_principal(claims: Mapping[str, Any]) -> Principal | None:
    """The task a token of ours speaks for, or None for a token of a service principal."""
    account, job = claims.get("batch_account"), claims.get("batch_job")
    if claims["appid"] != TASK_CLIENT or not isinstance(account, str) or not isinstance(job, str):
        return None
    return Principal("task", account, claims["oid"], claims["oid"], job=job)


def issuer_of(tenant_id: str) -> str:
    """The issuer of v1-style access tokens; other services recognise tokens by this form."""
    return f"https://sts.windows.net/{tenant_id}/"


class _ChallengeHeader(Protocol):
    def __call__(self, plane: Plane, authority: str, error: str | None, text: str) -> dict[str, str]: ...


@dataclass(frozen=True, slots=True)
class _Refusal:
    """Builds the 401 of one request, in the vocabulary of its plane."""

    plane: Plane
    header: _ChallengeHeader
    authority: str

    def missing(self) -> AuthError:
        text = "The 'Authorization' header is missing."
        return self._make("AuthenticationFailed", "Authentication failed.", text, None)

    def invalid(self, reason: str) -> AuthError:
        return self._make(
            "InvalidAuthenticationToken", "The access token is invalid.", reason, "invalid_token"
        )

    def expired(self) -> AuthError:
        return self._make(
            "ExpiredAuthenticationToken", "The access token expired.", "Ask for a new token.", "invalid_token"
        )

    def audience(self, reason: str) -> AuthError:
        return self._make(
            "InvalidAuthenticationTokenAudience",
            "The access token has the wrong audience.",
            f"{reason} Ask for the scope {self._scope()}.",
            "invalid_token",
        )

    def tenant(self) -> AuthError:
        return self._make(
            "InvalidAuthenticationTokenTenant",
            "The access token is from the wrong issuer.",
            "The token must be issued by this server's own tenant.",
            "invalid_token",
        )

    def _scope(self) -> str:
        resource = BATCH_RESOURCE if self.plane is Plane.BATCH else ARM_RESOURCE
        return f"{resource}/.default"

    def _make(self, arm_code: str, summary: str, reason: str, error: str | None) -> AuthError:
        # The data plane has one code for everything; the reason then travels in the details.
        code = "AuthenticationFailed" if self.plane is Plane.BATCH else arm_code
        headers = self.header(self.plane, self.authority, error, f"{summary} {reason}".replace('"', "'"))
        return AuthError(401, code, f"{summary} {reason}", detail(reason), headers)
