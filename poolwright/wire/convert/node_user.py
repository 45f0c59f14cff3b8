"""Users of nodes: bodies to values."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from poolwright.domain.clock import Instant
from poolwright.domain.errors import ServiceError, bad_property
from poolwright.wire.bodies import decode_body
from poolwright.wire.generated import batch_models as models
from poolwright.wire.times import parse_time

_PASSWORD_MAX = 256
_HIDDEN = "(not shown)"


@dataclass(frozen=True, slots=True)
class UserBody:
    """A user as asked for. `name` is empty in a replacement."""

    name: str
    admin: bool
    expires_at: Instant | None
    password: str | None = field(default=None, repr=False)
    public_key: str | None = None


def read_create(raw: bytes) -> UserBody:
    """A new user. Raises ServiceError."""
    body = _decode(raw, models.BatchNodeUserCreateOptions)
    return UserBody(
        body.name,
        bool(body.is_admin),
        _read_time(body.expiry_time),
        _read_password(body.password),
        body.ssh_public_key or None,
    )


def read_replace(raw: bytes) -> UserBody:
    """A user's new secrets. Raises ServiceError."""
    body = _decode(raw, models.BatchNodeUserReplaceOptions)
    return UserBody(
        "", False, _read_time(body.expiry_time), _read_password(body.password), body.ssh_public_key or None
    )


def _decode(raw: bytes, kind: Any) -> Any:
    """As decode_body; an error about the password does not repeat it."""
    try:
        return decode_body(raw, kind)
    except ServiceError as error:
        values = dict(error.values)
        if values.get("PropertyName") == "password" and "PropertyValue" in values:
            values["PropertyValue"] = _HIDDEN
        raise ServiceError(error.code, error.message, tuple(values.items())) from None


def _read_password(given: str | None) -> str | None:
    if not given:
        return None
    if len(given) > _PASSWORD_MAX or not given.isprintable():
        reason = f"At most {_PASSWORD_MAX} printable characters."
        raise bad_property("password", _HIDDEN, reason)
    return given


def _read_time(given: object) -> Instant | None:
    if given is None:
        return None
    try:
        return parse_time(str(given))
    except ValueError:
        raise bad_property("expiryTime", given, "A time such as 2026-01-27T22:25:10Z.") from None
