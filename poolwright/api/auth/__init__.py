"""Who is calling, and may they: shared keys, bearer tokens, roles."""

from __future__ import annotations

from poolwright.api.auth.audiences import ARM_RESOURCE, BATCH_RESOURCE, Audiences, Plane
from poolwright.api.auth.authentication import MAX_AUTHORIZATION_BYTES, authenticate
from poolwright.api.auth.bearer import BearerVerifier, TokenVerifier, VerificationKeys
from poolwright.api.auth.errors import AuthError
from poolwright.api.auth.permissions import (
    BUILT_IN_ROLES,
    DEFAULT_ROLES,
    PUBLIC,
    Permission,
    Role,
    RoleBook,
    Target,
    arm_target,
    assert_declared,
    batch_target,
    declared,
    needs,
    permission,
    require,
)
from poolwright.api.auth.principal import Principal, Principals, ServicePrincipal
from poolwright.api.auth.requests import request_authority
from poolwright.api.auth.sharedkey import AccountKeys, Keys, verify_shared_key

__all__ = [
    "ARM_RESOURCE",
    "BATCH_RESOURCE",
    "BUILT_IN_ROLES",
    "DEFAULT_ROLES",
    "MAX_AUTHORIZATION_BYTES",
    "PUBLIC",
    "AccountKeys",
    "Audiences",
    "AuthError",
    "BearerVerifier",
    "Keys",
    "Permission",
    "Plane",
    "Principal",
    "Principals",
    "Role",
    "RoleBook",
    "ServicePrincipal",
    "Target",
    "TokenVerifier",
    "VerificationKeys",
    "arm_target",
    "assert_declared",
    "authenticate",
    "batch_target",
    "declared",
    "needs",
    "permission",
    "request_authority",
    "require",
    "verify_shared_key",
]
