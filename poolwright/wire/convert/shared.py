"""Parts that pools, jobs and tasks have in common."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from poolwright.domain.errors import ServiceError, bad_property
from poolwright.domain.limits import (
    ACCOUNT_NAME_MAX,
    DISPLAY_NAME_MAX,
    ENVIRONMENT_BYTES_MAX,
    METADATA_BYTES_MAX,
)
from poolwright.domain.node import Failure
from poolwright.domain.pool import UserIdentity
from poolwright.wire.generated import batch_models as models

Document = dict[str, Any]

_NOT_YET = "This version does not support the property yet."
_DEFAULT_USER = UserIdentity()
_USERS = {
    (scope, elevation): UserIdentity(scope, elevation)
    for scope in ("pool", "task")
    for elevation in ("nonadmin", "admin")
}


def refuse(name: str, value: Any, reason: str = _NOT_YET) -> ServiceError:
    """The error for a property that cannot be put in force, so that it is never ignored silently."""
    shown = value if isinstance(value, str) else msgspec.json.encode(value, enc_hook=str).decode()
    return bad_property(name, shown, reason, "UnsupportedProperty")


def refuse_given(body: msgspec.Struct, attributes: Sequence[str], within: str = "") -> None:
    """Raise UnsupportedProperty for the first of these attributes that asks for something.

    Absent, empty and default values ask for nothing: they are accepted and echoed.
    """
    for attribute in attributes:
        value = getattr(body, attribute)
        if not asks_nothing(value):
            names = dict(zip(body.__struct_fields__, body.__struct_encode_fields__, strict=True))
            raise refuse(within + names[attribute], value)


def asks_nothing(value: Any) -> bool:
    """Whether a value is one that stands for "none of it"."""
    if isinstance(value, msgspec.Struct):
        return all(asks_nothing(getattr(value, name)) for name in value.__struct_fields__)
    if isinstance(value, dict):
        return all(asks_nothing(inner) for inner in value.values())
    if isinstance(value, str):
        return value.lower() in ("", "none", "noaction")
    return value is None or value is False or value == []


def read_environment(
    settings: Sequence[models.EnvironmentSetting] | None, name: str
) -> tuple[tuple[str, str], ...]:
    """Environment settings as pairs; a missing value is the empty string. Names must be usable by a process."""
    if not settings:
        return ()
    total = 0
    for index, setting in enumerate(settings):
        if not setting.name or "=" in setting.name or "\0" in setting.name:
            raise bad_property(
                f"{name}[{index}].name", setting.name, "A name is not empty and has no '=' or NUL."
            )
        if setting.value and "\0" in setting.value:
            raise bad_property(f"{name}[{index}].value", setting.value, "A value has no NUL character.")
        total += len(setting.name) + len(setting.value or "") + 2
    if total > ENVIRONMENT_BYTES_MAX:
        reason = f"All names and values together may have {ENVIRONMENT_BYTES_MAX} characters."
        values = (("PropertyName", name), ("PropertyValue", f"{total} characters"), ("Reason", reason))
        raise ServiceError("RequestEntityTooLarge", None, values)
    return tuple((setting.name, setting.value or "") for setting in settings)


def read_user(identity: models.UserIdentity | None, name: str) -> UserIdentity:
    """Who to run as; the pool-scope non-admin auto-user by default, on Linux whatever the API version.

    Whether the pool has an account of a given name is seen when the task is started, as in the public service.
    """
    if identity is None:
        return _DEFAULT_USER
    if identity.username is not None:
        if identity.auto_user is not None:
            raise bad_property(name, identity.username, "Give either username or autoUser, not both.")
        if not 0 < len(identity.username) <= ACCOUNT_NAME_MAX or not identity.username.isprintable():
            reason = f"The name of a user account has 1 to {ACCOUNT_NAME_MAX} printable characters."
            raise bad_property(f"{name}.username", identity.username, reason)
        return UserIdentity(username=identity.username)
    auto = identity.auto_user
    if auto is None:
        return _DEFAULT_USER
    return _USERS[auto.scope or "pool", auto.elevation_level or "nonadmin"]


def show_user(user: UserIdentity) -> Document:
    """A user identity with its defaults spelled out, as the service answers it."""
    if user.username is not None:
        return {"username": user.username}
    return {"autoUser": {"scope": user.scope, "elevationLevel": user.elevation}}


def check_command_line(command_line: str, name: str) -> str:
    """The command line, which must have something in it that a process can be started from."""
    if not command_line.strip() or "\0" in command_line:
        raise bad_property(name, command_line, "A command line is not empty and has no NUL character.")
    return command_line


def check_retries(count: int | None, name: str) -> int | None:
    """A retry count: -1 means without limit."""
    if count is not None and count < -1:
        raise bad_property(name, count, "The least value is -1, which means without limit.")
    return count


def check_display_name(display_name: str | None) -> str | None:
    """At most 1024 characters."""
    if display_name is not None and len(display_name) > DISPLAY_NAME_MAX:
        raise bad_property("displayName", display_name, f"At most {DISPLAY_NAME_MAX} characters.")
    return display_name


def check_metadata(items: Sequence[models.BatchMetadataItem] | None) -> None:
    """Names are not empty, and all together stay small enough to be listed."""
    for index, item in enumerate(items or ()):
        if not item.name:
            reason = "A metadata name is not empty."
            raise bad_property(f"metadata[{index}].name", item.name, reason, "EmptyMetadataKey")
        if any(ord(letter) < 32 for letter in item.name + item.value):
            reason = "Metadata has no control characters."
            raise bad_property(f"metadata[{index}]", item.name, reason, "InvalidMetadata")
    total = sum(len(item.name.encode()) + len(item.value.encode()) for item in items or ())
    if total > METADATA_BYTES_MAX:
        reason = f"At most {METADATA_BYTES_MAX} bytes in all."
        raise bad_property("metadata", f"{total} bytes", reason, "MetadataTooLarge")


def show_failure(failure: Failure) -> Document:
    """Failure information of a task or start task."""
    # Executors of workflow engines go through the details without a look, so there are always some.
    details = failure.details or (("Message", failure.message),)
    shown: Document = {"category": failure.category, "code": failure.code, "message": failure.message}
    shown["details"] = show_pairs(details)
    return shown


def show_pairs(pairs: Sequence[tuple[str, str]]) -> list[Document]:
    """(name, value) pairs as the service writes them."""
    return [{"name": name, "value": value} for name, value in pairs]
