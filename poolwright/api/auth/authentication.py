"""From a request to its caller, whichever scheme it uses."""

from __future__ import annotations

from poolwright.api.auth.audiences import Plane
from poolwright.api.auth.bearer import TokenVerifier
from poolwright.api.auth.principal import Principal
from poolwright.api.auth.requests import Scope, header_values, request_authority
from poolwright.api.auth.sharedkey import Keys, failed, malformed, verify_shared_key
from poolwright.domain.clock import Instant

MAX_AUTHORIZATION_BYTES = 16 * 1024
"""Tokens of large directories reach a few kilobytes; nothing honest is longer."""


def authenticate(
    scope: Scope,
    *,
    plane: Plane,
    keys: Keys,
    tokens: TokenVerifier,
    now: Instant,
    account: str | None = None,
) -> Principal:
    """The caller of an ASGI request, from its Authorization header alone (the body is not needed).

    `account` is the batch account the host name or the path prefix already named, if any: a shared key of
    another account is then refused. With a shared key, the account acted on is `Principal.account`.
    Must be given the scope as the server made it (raw path untouched).
    Raises AuthError: 400 malformed, 401 no or bad token (with challenge), 403 wrong shared key.
    """
    values = header_values(scope, b"authorization")
    authority = request_authority(scope)
    if not values:
        raise tokens.challenge(plane, authority)
    if len(values) > 1:
        raise malformed("The Authorization header is given more than once.")
    value = values[0]
    if len(value) > MAX_AUTHORIZATION_BYTES:
        raise malformed(f"The Authorization header is longer than {MAX_AUTHORIZATION_BYTES} bytes.")
    scheme, _, credentials = value.partition(" ")
    if scheme.lower() == "bearer" and credentials.strip():
        return tokens.verify(credentials.strip(), plane, authority, now)
    if plane is not Plane.BATCH:
        # Management knows tokens only, so any other scheme is as good as none.
        raise tokens.challenge(plane, authority)
    if scheme.lower() != "sharedkey":
        raise malformed("The Authorization header's scheme is neither SharedKey nor Bearer.")
    principal = verify_shared_key(scope, value, keys, now)
    if account is not None and principal.account is not None and principal.account.lower() != account.lower():
        raise failed(f"The request addresses account '{account}' but is signed for '{principal.account}'.")
    return principal
