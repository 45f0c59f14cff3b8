"""The embedded token issuer: client credentials in, signed access tokens out. Knows no HTTP.

Tokens have the form of Entra ID's version 1 access tokens, because that is what tools around Batch decode
and what other emulators accept. Error codes are the ones client libraries know; the wording is our own.
"""

from __future__ import annotations

import logging
import secrets
import uuid
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from joserfc import jwt

from poolwright.api.auth.audiences import BATCH_RESOURCE, Audiences
from poolwright.api.auth.bearer import TASK_CLIENT, issuer_of
from poolwright.api.auth.principal import Principals, ServicePrincipal
from poolwright.api.identity.client_secrets import secret_matches
from poolwright.api.identity.signing_keys import KeyRing
from poolwright.api.identity.throttle import FailureThrottle
from poolwright.domain.clock import SECOND, Clock

TOKEN_LIFETIME_S = 3600
TASK_TOKEN_LIFETIME_S = 180 * 86_400  # as long as a task may live (public limit)
TENANT_ALIASES = frozenset({"adfs", "organizations", "common"})
"""Tenant names client libraries use when they know no tenant id; all mean the one tenant there is."""
MAX_FIELD = 2048
_IDENTITY_SCOPES = frozenset({"openid", "profile", "offline_access", "email"})
_SUFFIX = "/.default"
_LOG = logging.getLogger(__name__)


class OAuthError(Exception):
    """A refused token request (RFC 6749 section 5.2). `number` is the number of the AADSTS code."""

    def __init__(self, status: int, error: str, number: int, message: str, retry_after_s: int = 0) -> None:
        super().__init__(f"{error}: AADSTS{number}: {message}")
        self.status = status
        self.error = error
        self.number = number
        self.message = message
        self.retry_after_s = retry_after_s


@dataclass(frozen=True, slots=True)
class TokenRequest:
    """A token request after parsing. Exactly one of `scope` (version 2) and `resource` (version 1) is used,
    `scope` first. `address` is the caller's network address, for throttling."""

    tenant: str
    grant_type: str | None
    client_id: str | None
    client_secret: str | None
    scope: str | None
    resource: str | None
    assertion: bool
    address: str

    def __repr__(self) -> str:
        return f"TokenRequest(tenant={self.tenant!r}, client_id={self.client_id!r})"


@dataclass(frozen=True, slots=True)
class AccessToken:
    """A granted token. Times in seconds since 1970; `resource` is the audience."""

    value: str
    resource: str
    not_before_s: int
    expires_s: int

    def __repr__(self) -> str:
        return f"AccessToken(resource={self.resource!r}, expires_s={self.expires_s})"


class TokenIssuer:
    """Issues tokens for one tenant. Runs on the event loop: no blocking calls besides `Principals.find`.

    `tenant_domains` are further names of the tenant (as in `lab.example`).
    """

    def __init__(
        self,
        *,
        tenant_id: str,
        keys: KeyRing,
        principals: Principals,
        audiences: Audiences,
        clock: Clock,
        tenant_domains: Collection[str] = (),
    ) -> None:
        self.tenant_id = str(uuid.UUID(tenant_id))
        self.issuer = issuer_of(self.tenant_id)
        self._keys = keys
        self._principals = principals
        self._audiences = audiences
        self._clock = clock
        self._tenants = TENANT_ALIASES | {self.tenant_id} | {name.lower() for name in tenant_domains}
        self._throttle = FailureThrottle()

    def check_tenant(self, tenant: str) -> None:
        """OAuthError 400 unless this is a name of our tenant."""
        if tenant.lower() not in self._tenants:
            raise OAuthError(
                400,
                "invalid_request",
                90002,
                f"There is no tenant '{tenant[:64]}' here. Use the tenant id of this server, or 'adfs'.",
            )

    def public_keys(self) -> dict[str, object]:
        """The JSON Web Key Set that verifies our tokens."""
        return self._keys.public_jwks()

    def grant(self, request: TokenRequest) -> AccessToken:
        """A token for the request, or OAuthError."""
        self.check_tenant(request.tenant)
        if request.grant_type is None:
            raise OAuthError(400, "invalid_request", 900144, "The form has no 'grant_type'.")
        if request.grant_type != "client_credentials":
            raise OAuthError(
                400,
                "unsupported_grant_type",
                70003,
                f"The grant type '{request.grant_type[:64]}' is not supported; use client_credentials.",
            )
        principal = self._client(request)
        resource = self._resource(request)
        token = self.issue(principal, resource)
        _LOG.info("token granted to client %s for %s", principal.client_id, resource)
        return token

    def issue(self, principal: ServicePrincipal, resource: str) -> AccessToken:
        """Sign a token for a principal that has already proved who it is."""
        return self._sign(resource, principal.client_id, principal.object_id, TOKEN_LIFETIME_S, {})

    def issue_for_task(self, account: str, job: str, execution: str) -> AccessToken:
        """A token for one execution of a task, for its own job. Whether it still counts is looked up when it is used;
        beyond that it lives as long as a task may."""
        more = {"batch_account": account, "batch_job": job}
        return self._sign(BATCH_RESOURCE, TASK_CLIENT, execution, TASK_TOKEN_LIFETIME_S, more)

    def _sign(
        self, resource: str, client: str, subject: str, lifetime_s: int, more: Mapping[str, str]
    ) -> AccessToken:
        now = self._clock.now() // SECOND
        key = self._keys.signing_key()
        claims = {
            "aud": resource,
            "iss": self.issuer,
            "iat": now,
            "nbf": now,
            "exp": now + lifetime_s,
            "appid": client,
            "appidacr": "1",
            "idp": self.issuer,
            "idtyp": "app",
            "oid": subject,
            "sub": subject,
            "tid": self.tenant_id,
            "uti": secrets.token_urlsafe(16),
            "ver": "1.0",
            **more,
        }
        header = {"alg": "RS256", "kid": key.kid}
        value = jwt.encode(header, claims, key, algorithms=["RS256"])
        return AccessToken(value, resource, now, now + lifetime_s)

    def _client(self, request: TokenRequest) -> ServicePrincipal:
        if not request.client_id:
            raise OAuthError(400, "invalid_request", 900144, "The request has no 'client_id'.")
        if request.client_secret is None:
            reason = (
                "Client assertions are not supported; send a client_secret."
                if request.assertion
                else "The request has neither a 'client_secret' nor a Basic Authorization header."
            )
            raise OAuthError(401, "invalid_client", 7000218, reason)
        found = self._principals.find(request.client_id)
        usable = found if found is not None and found.enabled else None
        good = secret_matches(request.client_secret, usable.secret_hashes if usable else ())
        # A right secret always passes: checking is cheap and guessing hopeless, so the throttle need only
        # bound the noise of failures, and nobody can lock out a client by failing in its name.
        if usable is not None and good:
            return usable
        raise self._failure(request.address, request.client_id)

    def _failure(self, address: str, client_id: str) -> OAuthError:
        now = self._clock.now() / SECOND
        caller = (address, client_id[:64].lower())
        wait = self._throttle.retry_after_s(caller, now)
        if wait:
            return OAuthError(
                429,
                "temporarily_unavailable",
                50196,
                f"Too many failed attempts for this client; try again in {wait} seconds.",
                wait,
            )
        self._throttle.failed(caller, now)
        return OAuthError(
            401,
            "invalid_client",
            7000215,
            "The client id is unknown or disabled, or the client secret is wrong (the secret's value is "
            "needed, not its id).",
        )

    def _resource(self, request: TokenRequest) -> str:
        if request.scope:
            resource = _resource_of_scope(request.scope)
        elif request.resource:
            resource = request.resource
        else:
            raise OAuthError(
                400, "invalid_request", 900144, "The form has neither a 'scope' nor a 'resource'."
            )
        if self._audiences.plane_of(resource) is None:
            raise OAuthError(
                400,
                "invalid_scope" if request.scope else "invalid_resource",
                500011,
                f"The resource '{resource[:256]}' is not known to this server.",
            )
        return resource


def _resource_of_scope(scope: str) -> str:
    """The one resource named by a version 2 scope. Its trailing slash is part of the audience."""
    wanted = {part for part in scope.split() if part not in _IDENTITY_SCOPES}
    if len(wanted) != 1:
        raise OAuthError(
            400,
            "invalid_scope",
            70011,
            "The scope must name exactly one resource, as in <resource>/.default.",
        )
    return wanted.pop().removesuffix(_SUFFIX)
