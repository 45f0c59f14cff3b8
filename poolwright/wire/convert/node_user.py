"""Users of nodes: bodies to values."""

from __future__ import annotations

from dataclasses import dataclass, field

from poolwright.domain.clock import Instant
from poolwright.domain.errors import bad_property
from poolwright.wire.bodies import decode_body
from poolwright.wire.generated import batch_models as models
from poolwright.wire.passwords import read_password
from poolwright.wire.times import parse_time


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
    body = decode_body(raw, models.BatchNodeUserCreateOptions)
    return UserBody(
        body.name,
        bool(body.is_admin),
        _read_time(body.expiry_time),
        read_password(body.password, "password"),
        body.ssh_public_key or None,
    )


def read_replace(raw: bytes) -> UserBody:
    """A user's new secrets. Raises ServiceError."""
    body = decode_body(raw, models.BatchNodeUserReplaceOptions)
    return UserBody(
        "",
        False,
        _read_time(body.expiry_time),
        read_password(body.password, "password"),
        body.ssh_public_key or None,
    )


def _read_time(given: object) -> Instant | None:
    if given is None:
        return None
    try:
        return parse_time(str(given))
    except ValueError:
        raise bad_property("expiryTime", given, "A time such as 2026-01-27T22:25:10Z.") from None
