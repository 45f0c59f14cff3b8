"""Rules for names, shared by the edge and the commands."""

from __future__ import annotations

import re

from poolwright.domain.errors import ServiceError, bad_property
from poolwright.domain.limits import ID_LENGTH_MAX

_ID = re.compile(r"[A-Za-z0-9_-]{1,64}\Z")
_ACCOUNT = re.compile(r"[a-z0-9]{3,24}\Z")


def check_id(noun: str, value: str) -> str:
    """`value` if it is a legal id of a pool, job or task (public rule: 1-64 of A-Z a-z 0-9 _ -).

    Raises ServiceError InvalidPropertyValue.
    """
    if not _ID.match(value):
        raise bad_property(
            "id",
            value,
            f"A {noun} id has 1 to {ID_LENGTH_MAX} characters out of letters, digits, hyphen and underscore.",
        )
    return value


def is_account_name(value: str) -> bool:
    """Public rule: 3 to 24 lower-case letters and digits."""
    return bool(_ACCOUNT.match(value))


def not_found(noun: str, value: str) -> ServiceError:
    """The 404 of a noun ("pool", "job", "job schedule", "task", "node")."""
    code = {
        "pool": "PoolNotFound",
        "job": "JobNotFound",
        "job schedule": "JobScheduleNotFound",
        "task": "TaskNotFound",
        "node": "NodeNotFound",
    }[noun]
    return ServiceError(code, None, (("Id", value),) if len(value) <= 256 else ())
