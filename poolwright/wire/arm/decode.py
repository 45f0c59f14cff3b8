"""Reading request bodies: JSON to models, every refusal naming the property, its value and the reason."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

import msgspec

from poolwright.domain.errors import ManagementError
from poolwright.wire.arm.not_in_force import refuse_not_in_force
from poolwright.wire.reasons import reason

M = TypeVar("M", bound=msgspec.Struct)

TAGS_MAX = 50  # public limits of tags
TAG_NAME_MAX = 512
TAG_VALUE_MAX = 256
_AT = re.compile(r" - at `\$(?:\.)?(.*)`\Z")
_STEP = re.compile(r"([^.\[\]]+)|\[(\d+|\.\.\.)\]")
_MISSING = re.compile(r"Object missing required field `([^`]+)`")


def decode(body: bytes, model: type[M]) -> M:
    """The body as a model. Unknown properties are ignored, as Resource Manager does; those it knows and this service
    does not put in force are refused (not_in_force.py).

    Raises ManagementError 400: InvalidRequestContent for what is not a JSON object, InvalidParameter for a property
    that is missing or of the wrong type.
    """
    try:
        raw = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        text = f"The request content was invalid and could not be deserialized: {error}."
        raise ManagementError(400, "InvalidRequestContent", text) from None
    except RecursionError:
        text = "The request content was invalid: it is nested too deeply."
        raise ManagementError(400, "InvalidRequestContent", text) from None
    if not isinstance(raw, dict):
        text = "The request content was invalid: a JSON object was expected."
        raise ManagementError(400, "InvalidRequestContent", text)
    refuse_not_in_force(raw, model)
    try:
        # Clients send numbers as strings now and then, and the public service takes them.
        return msgspec.convert(_without_nulls(raw), model, strict=False)
    except msgspec.ValidationError as error:
        raise _refusal(raw, str(error), model) from None


def _without_nulls(value: Any) -> Any:
    """An explicit null means the same as a property left out."""
    if isinstance(value, dict):
        return {name: _without_nulls(item) for name, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_without_nulls(item) for item in value]
    return value


def _refusal(raw: Any, problem: str, model: type[Any]) -> ManagementError:
    found = _AT.search(problem)
    path = found[1] if found else ""
    what = problem[: found.start()] if found else problem
    missing = _MISSING.match(what)
    if missing is not None:
        target = f"{path}.{missing[1]}" if path else missing[1]
        return ManagementError(
            400, "InvalidParameter", f"Required parameter '{target}' is missing (null).", target
        )
    target = path or "body"
    value = _value_at(raw, path)
    shown = value if len(value) <= 200 else value[:200] + "..."
    text = f"The value '{shown}' of '{target}' is not valid: {reason(what, model, f'.{path}')}"
    return ManagementError(400, "InvalidParameter", text, target)


def _value_at(raw: Any, path: str) -> str:
    if "assword" in path or "customData" in path:
        return "..."
    for name, index in _STEP.findall(path):
        if name and isinstance(raw, Mapping) and name in raw:
            raw = raw[name]
        elif index.isdigit() and isinstance(raw, list) and int(index) < len(raw):
            raw = raw[int(index)]
        else:
            return "..."
    return msgspec.json.encode(raw).decode() if isinstance(raw, (dict, list)) else str(raw)


def one_of(target: str, value: str | None, allowed: Iterable[str], default: str | None = None) -> str | None:
    """The value in its published spelling, compared without regard to case; 400 when it is none of them."""
    if value is None:
        return default
    names = tuple(allowed)
    for name in names:
        if name.lower() == value.lower():
            return name
    text = f"The value '{value[:200]}' of '{target}' is not valid: allowed values are {', '.join(names)}."
    raise ManagementError(400, "InvalidParameter", text, target)


def tags(given: Mapping[str, str] | None) -> tuple[tuple[str, str], ...]:
    """Tags in order of name; 400 beyond the public limits."""
    pairs = sorted((given or {}).items())
    if len(pairs) > TAGS_MAX:
        text = f"{len(pairs)} tags were given; at most {TAGS_MAX} are allowed."
        raise ManagementError(400, "InvalidParameter", text, "tags")
    for name, value in pairs:
        if not 1 <= len(name) <= TAG_NAME_MAX or len(value) > TAG_VALUE_MAX:
            text = (
                f"The tag '{name[:100]}' is not valid: a name has 1 to {TAG_NAME_MAX} characters and a value at most "
                f"{TAG_VALUE_MAX}."
            )
            raise ManagementError(400, "InvalidParameter", text, f"tags.{name[:100]}")
    return tuple(pairs)
