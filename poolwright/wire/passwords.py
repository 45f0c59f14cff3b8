"""Passwords at the edge: checked, never repeated."""

from __future__ import annotations

from poolwright.domain.errors import bad_property
from poolwright.wire.bodies import HIDDEN

_LENGTH_MAX = 256


def read_password(given: str | None, name: str) -> str | None:
    """The password, None for an empty one. Raises InvalidPropertyValue without repeating it."""
    if not given:
        return None
    if len(given) > _LENGTH_MAX or not given.isprintable():
        raise bad_property(name, HIDDEN, f"At most {_LENGTH_MAX} printable characters.")
    return given
