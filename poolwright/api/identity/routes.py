"""HTTP face of the token issuer: discovery documents, public keys, token endpoints.

All of it is public by nature. Paths and fields are what MSAL, azure-identity, the azure CLI and older
clients read; OpenID Connect Discovery 1.0 and RFC 6749 are the outside rules.
"""

from __future__ import annotations

import base64
import binascii
import logging
import uuid
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from urllib.parse import parse_qsl, unquote_plus, urlsplit

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from poolwright.api.auth.authentication import MAX_AUTHORIZATION_BYTES
from poolwright.api.auth.permissions import PUBLIC, needs
from poolwright.api.auth.requests import client_address, header_values, request_authority
from poolwright.api.identity.issuer import (
    MAX_FIELD,
    TOKEN_LIFETIME_S,
    AccessToken,
    OAuthError,
    TokenIssuer,
    TokenRequest,
)

MAX_FORM_BYTES = 64 * 1024
MAX_FORM_FIELDS = 32
_NO_STORE = {"Cache-Control": "no-store", "Pragma": "no-cache"}
_LOG = logging.getLogger(__name__)

Endpoint = Callable[[Request], Awaitable[Response]]


def identity_routes(issuer: TokenIssuer) -> list[Route]:
    """Every route of the issuer. They must come before routes with a wider first segment."""

    async def openid_configuration(request: Request) -> Response:
        tenant = request.path_params["tenant"]
        issuer.check_tenant(tenant)
        return JSONResponse(_configuration(_base(request), tenant, issuer.issuer))

    async def instance_discovery(request: Request) -> Response:
        tenant = _asked_tenant(request) or issuer.tenant_id
        issuer.check_tenant(tenant)
        return JSONResponse(_instances(_base(request), tenant))

    async def public_keys(request: Request) -> Response:
        issuer.check_tenant(request.path_params["tenant"])
        return JSONResponse(issuer.public_keys())

    async def token_v2(request: Request) -> Response:
        token = issuer.grant(await _token_request(request))
        return JSONResponse(_granted(token), headers=_NO_STORE)

    async def token_v1(request: Request) -> Response:
        token = issuer.grant(await _token_request(request))
        return JSONResponse(_granted_v1(token), headers=_NO_STORE)

    return [
        _route("/common/discovery/instance", instance_discovery, "GET"),
        # az, told of the authority `<here>/adfs`, resolves the tenant `adfs` beneath it.
        _route("/adfs/{tenant}/v2.0/.well-known/openid-configuration", openid_configuration, "GET"),
        _route("/{tenant}/v2.0/.well-known/openid-configuration", openid_configuration, "GET"),
        _route("/{tenant}/.well-known/openid-configuration", openid_configuration, "GET"),
        _route("/{tenant}/discovery/v2.0/keys", public_keys, "GET"),
        _route("/{tenant}/discovery/keys", public_keys, "GET"),
        _route("/{tenant}/oauth2/v2.0/token", token_v2, "POST"),
        _route("/{tenant}/oauth2/token", token_v1, "POST"),
    ]


def _route(path: str, endpoint: Endpoint, method: str) -> Route:
    async def answer(request: Request) -> Response:
        try:
            return await endpoint(request)
        except OAuthError as error:
            return _refused(request, error)

    answer.__name__ = endpoint.__name__
    return Route(path, needs(PUBLIC)(answer), methods=[method])


def _base(request: Request) -> str:
    """`https://` and the authority the client used, so that it keeps using it.

    Always https: clients refuse to send a secret anywhere else.
    """
    authority = request_authority(request.scope)
    if authority is None:
        raise OAuthError(400, "invalid_request", 90019, "The Host header is missing or malformed.")
    return f"https://{authority}"


def _configuration(base: str, tenant: str, issuer: str) -> dict[str, object]:
    root = f"{base}/{tenant}"
    return {
        "issuer": issuer,
        "authorization_endpoint": f"{root}/oauth2/v2.0/authorize",
        "token_endpoint": f"{root}/oauth2/v2.0/token",
        "device_authorization_endpoint": f"{root}/oauth2/v2.0/devicecode",
        "jwks_uri": f"{root}/discovery/v2.0/keys",
        "token_endpoint_auth_methods_supported": ["client_secret_post", "client_secret_basic"],
        "grant_types_supported": ["client_credentials"],
        "response_types_supported": ["token"],
        "scopes_supported": ["openid"],
        "subject_types_supported": ["pairwise"],
        "id_token_signing_alg_values_supported": ["RS256"],
    }


def _asked_tenant(request: Request) -> str:
    """First path segment of the authorization endpoint a client asks about; empty when there is none."""
    try:
        asked = urlsplit(request.query_params.get("authorization_endpoint", "")[:MAX_FIELD])
    except ValueError:
        raise OAuthError(400, "invalid_request", 90019, "The authorization_endpoint is not a URL.") from None
    return asked.path.strip("/").partition("/")[0]


def _instances(base: str, tenant: str) -> dict[str, object]:
    """Answer to "is this authority known": we know only ourselves, under the name the client used."""
    version = "" if tenant.lower() == "adfs" else "/v2.0"
    host = base.removeprefix("https://")
    return {
        "tenant_discovery_endpoint": f"{base}/{tenant}{version}/.well-known/openid-configuration",
        "api-version": "1.1",
        "metadata": [{"preferred_network": host, "preferred_cache": host, "aliases": [host]}],
    }


async def _token_request(request: Request) -> TokenRequest:
    fields = _fields(await _body(request))
    client_id, secret = fields.get("client_id"), fields.get("client_secret")
    basic = _basic_credentials(request)
    if basic is not None:
        if secret is not None or client_id not in (None, basic[0]):
            raise OAuthError(
                400,
                "invalid_request",
                90023,
                "The client is named in both the form and the Authorization header.",
            )
        client_id, secret = basic
    return TokenRequest(
        tenant=request.path_params["tenant"],
        grant_type=fields.get("grant_type"),
        client_id=client_id,
        client_secret=secret,
        scope=fields.get("scope"),
        resource=fields.get("resource"),
        assertion="client_assertion" in fields,
        address=client_address(request.scope),
    )


async def _body(request: Request) -> bytes:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded":
        raise OAuthError(
            400, "invalid_request", 90023, "The body must be of type application/x-www-form-urlencoded."
        )
    received = bytearray()
    try:
        async for chunk in request.stream():
            received += chunk
            if len(received) > MAX_FORM_BYTES:
                raise OAuthError(
                    413, "invalid_request", 90023, f"The form is longer than {MAX_FORM_BYTES} bytes."
                )
    except ClientDisconnect:
        raise OAuthError(400, "invalid_request", 90023, "The form ended early.") from None
    return bytes(received)


def _fields(body: bytes) -> dict[str, str]:
    try:
        pairs = parse_qsl(
            body.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=MAX_FORM_FIELDS
        )
    except ValueError:
        raise OAuthError(
            400, "invalid_request", 90023, "The form cannot be read, or has too many fields."
        ) from None
    fields: dict[str, str] = {}
    for name, value in pairs:
        if name in fields:
            raise OAuthError(
                400, "invalid_request", 90023, f"The field '{name[:64]}' is given more than once."
            )
        fields[name] = value
    for name in ("grant_type", "client_id", "client_secret", "scope", "resource"):
        if len(fields.get(name, "")) > MAX_FIELD:
            raise OAuthError(
                400, "invalid_request", 90023, f"The field '{name}' is longer than {MAX_FIELD} characters."
            )
    return fields


def _basic_credentials(request: Request) -> tuple[str, str] | None:
    """Client id and secret of a Basic header (RFC 6749 section 2.3.1: both form-encoded first)."""
    values = header_values(request.scope, b"authorization")
    if not values:
        return None
    scheme, _, encoded = values[0].partition(" ")
    if len(values) > 1 or scheme.lower() != "basic" or len(values[0]) > MAX_AUTHORIZATION_BYTES:
        raise OAuthError(
            401, "invalid_client", 7000218, "The Authorization header is not one Basic credential."
        )
    try:
        name, separator, secret = (
            base64.b64decode(encoded.strip(), validate=True).decode("utf-8").partition(":")
        )
    except (binascii.Error, ValueError):
        separator = ""
    if not separator:
        raise OAuthError(401, "invalid_client", 7000218, "The Basic credential is not base64 of 'id:secret'.")
    return unquote_plus(name), unquote_plus(secret)


def _granted(token: AccessToken) -> dict[str, object]:
    lifetime = TOKEN_LIFETIME_S - 1
    return {
        "token_type": "Bearer",
        "expires_in": lifetime,
        "ext_expires_in": lifetime,
        "access_token": token.value,
    }


def _granted_v1(token: AccessToken) -> dict[str, object]:
    """Version 1 gives numbers as strings, absolute times, and the resource."""
    lifetime = str(TOKEN_LIFETIME_S - 1)
    return {
        "token_type": "Bearer",
        "expires_in": lifetime,
        "ext_expires_in": lifetime,
        "expires_on": str(token.expires_s),
        "not_before": str(token.not_before_s),
        "resource": token.resource,
        "access_token": token.value,
    }


def _refused(request: Request, error: OAuthError) -> Response:
    trace = str(uuid.uuid4())
    _LOG.info(
        "identity request refused: %r %s AADSTS%d trace %s",
        request.scope["path"],
        error.error,
        error.number,
        trace,
    )
    moment = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    headers = dict(_NO_STORE)
    if error.retry_after_s:
        headers["Retry-After"] = str(error.retry_after_s)
    if error.status == 401:
        headers["WWW-Authenticate"] = 'Basic realm="token"'
    body = {
        "error": error.error,
        "error_description": f"AADSTS{error.number}: {error.message} Trace ID: {trace} Timestamp: {moment}",
        "error_codes": [error.number],
        "timestamp": moment,
        "trace_id": trace,
        "correlation_id": request.headers.get("client-request-id", trace)[:64],
    }
    return JSONResponse(body, status_code=error.status, headers=headers)
