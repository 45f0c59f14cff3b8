"""What a caller may do: permissions of routes, roles of callers, and the check between them.

A permission is spelled `Provider/kind[/kind...]/verb`, as in `Batch/pools/read` (data plane) and
`Microsoft.Compute/images/write` (management). Verbs: read, write, delete, action. The built-in roles
follow the meaning of the three general roles of Azure's role-based access control.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import NewType, TypeVar

from poolwright.api.auth.audiences import Plane
from poolwright.api.auth.errors import AuthError, detail
from poolwright.api.auth.principal import Principal

Permission = NewType("Permission", str)

PUBLIC = Permission("PUBLIC")
"""Declared by routes that need no caller at all (discovery, tokens, health)."""

_SPELLING = re.compile(r"[A-Za-z][A-Za-z.]*(?:/[A-Za-z][A-Za-z0-9]*)+/(?:read|write|delete|action)\Z")
_PATTERN = re.compile(r"[A-Za-z.*][A-Za-z0-9.*]*(?:/[A-Za-z0-9.*]+)*\Z")
_TASK_PERMISSIONS = frozenset(
    {"batch/jobs/read", "batch/jobs/write", "batch/tasks/read", "batch/tasks/write", "batch/files/read"}
)


def permission(spelling: str) -> Permission:
    """A permission from its spelling. ValueError when it is not `Provider/kind.../verb`."""
    if not _SPELLING.match(spelling):
        raise ValueError(
            f"permission {spelling!r} is not spelled Provider/kind[/kind...]/verb with the verb "
            "read, write, delete or action"
        )
    return Permission(spelling)


@dataclass(frozen=True, slots=True)
class Role:
    """What a role grants: any of `actions` that is in none of `not_actions`; `*` matches any text."""

    actions: tuple[str, ...]
    not_actions: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for pattern in (*self.actions, *self.not_actions):
            if not _PATTERN.match(pattern):
                raise ValueError(f"role action {pattern!r} is not made of words, dots, slashes and '*'")


BUILT_IN_ROLES: Mapping[str, Role] = MappingProxyType(
    {
        "owner": Role(("*",)),
        "contributor": Role(("*",), ("Microsoft.Authorization/*/write", "Microsoft.Authorization/*/delete")),
        "reader": Role(("*/read",)),
    }
)


def _matcher(patterns: Iterable[str]) -> re.Pattern[str]:
    alternatives = [re.escape(pattern).replace(r"\*", ".*") for pattern in patterns]
    # "(?!)" matches nothing: a role without exceptions excludes nothing.
    return re.compile("|".join(f"(?:{text})" for text in alternatives) or "(?!)", re.IGNORECASE)


class RoleBook:
    """The known roles. Names are compared without regard to case; an unknown role grants nothing."""

    def __init__(self, custom: Mapping[str, Role] = MappingProxyType({})) -> None:
        taken = sorted({name.lower() for name in custom} & set(BUILT_IN_ROLES))
        if taken:
            raise ValueError(f"custom roles may not redefine the built-in ones: {', '.join(taken)}")
        self._roles = {
            name.lower(): (_matcher(role.actions), _matcher(role.not_actions))
            for name, role in (*BUILT_IN_ROLES.items(), *custom.items())
        }
        # Sets of roles and permissions are both few; the cache makes the check a dictionary look-up.
        self._allows = lru_cache(maxsize=4096)(self._evaluate)

    def knows(self, role: str) -> bool:
        """Whether a role of this name exists."""
        return role.lower() in self._roles

    def allows(self, roles: frozenset[str], wanted: Permission) -> bool:
        """Whether any of `roles` grants the permission."""
        return self._allows(roles, wanted)

    def _evaluate(self, roles: frozenset[str], wanted: Permission) -> bool:
        for name in roles:
            role = self._roles.get(name.lower())
            if role is not None and role[0].fullmatch(wanted) and not role[1].fullmatch(wanted):
                return True
        return False


DEFAULT_ROLES = RoleBook()


@dataclass(frozen=True, slots=True)
class Target:
    """What a request acts on: an account (data plane, with the job where there is one) or a resource id."""

    plane: Plane
    name: str
    job: str | None = None


def batch_target(account: str, job: str | None = None) -> Target:
    """The target of a data-plane request."""
    return Target(Plane.BATCH, account, job)


def arm_target(resource_id: str) -> Target:
    """The target of a management request."""
    return Target(Plane.ARM, resource_id)


def require(
    principal: Principal, wanted: Permission, target: Target, roles: RoleBook = DEFAULT_ROLES
) -> None:
    """Raise AuthError 403 unless the principal holds the permission on the target.

    A shared key has full rights on the data plane of its own account and none elsewhere; a task token
    has the rights of section "task authentication" of the Batch documentation: its own job only.
    """
    if wanted == PUBLIC or _permitted(principal, wanted, target, roles):
        return
    if target.plane is Plane.ARM:
        raise AuthError(
            403,
            "AuthorizationFailed",
            f"The client '{principal.name}' with object id '{principal.object_id}' does not have "
            f"authorization to perform action '{wanted}' over scope '{target.name}'.",
        )
    raise AuthError(
        403,
        "InsufficientAccountPermissions",
        "The account does not have sufficient permissions to perform the requested operation.",
        detail(f"The caller {principal.name} ({principal.kind}) lacks {wanted} on account {target.name}."),
    )


def _permitted(principal: Principal, wanted: Permission, target: Target, roles: RoleBook) -> bool:
    if principal.kind == "token":
        return roles.allows(principal.roles, wanted)
    own_account = (
        target.plane is Plane.BATCH
        and principal.account is not None
        and principal.account.lower() == target.name.lower()
    )
    if principal.kind == "sharedkey":
        return own_account and wanted.startswith("Batch/")
    own_job = (
        principal.job is not None and target.job is not None and principal.job.lower() == target.job.lower()
    )
    return own_account and own_job and wanted.lower() in _TASK_PERMISSIONS


_Endpoint = TypeVar("_Endpoint", bound=Callable[..., object])
_ATTRIBUTE = "__poolwright_permission__"


def needs(wanted: Permission) -> Callable[[_Endpoint], _Endpoint]:
    """Decorator by which an endpoint declares the permission its callers need."""

    def declare(endpoint: _Endpoint) -> _Endpoint:
        setattr(endpoint, _ATTRIBUTE, wanted)
        return endpoint

    return declare


def declared(endpoint: object) -> Permission | None:
    """The permission an endpoint declared with `needs`, or None."""
    found = getattr(endpoint, _ATTRIBUTE, None)
    return Permission(found) if isinstance(found, str) else None


def assert_declared(routes: Iterable[tuple[str, Permission | str | None]]) -> None:
    """Start-up check of a route registry: (route name, declared permission) pairs.

    Raises RuntimeError naming every route that declared nothing or something misspelled, so that a new
    route can never be reachable by accident.
    """
    problems = []
    for name, wanted in routes:
        if wanted is None:
            problems.append(f"{name}: no permission declared (say PUBLIC if anybody may call it)")
        elif wanted != PUBLIC and not _SPELLING.match(wanted):
            problems.append(f"{name}: {wanted!r} is not a permission")
    if problems:
        raise RuntimeError("routes without a usable permission: " + "; ".join(problems))
