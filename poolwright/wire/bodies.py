"""Request bodies: one decode that validates, and its failures told as the service tells them."""

from __future__ import annotations

import re
from typing import Any, TypeVar

import msgspec

from poolwright.domain.errors import ServiceError, bad_property
from poolwright.wire.reasons import reason as told
from poolwright.wire.reasons import unreadable_reason
from poolwright.wire.scalars import decode_scalar, encode_scalar

T = TypeVar("T")

SECRET = frozenset({"password", "sshPrivateKey"})
"""Properties whose value is not repeated in an error."""
HIDDEN = "(not shown)"
_AT = re.compile(r"(?P<what>.*?)(?: - at `(?P<path>[^`]*)`)?\Z", re.DOTALL)
_NAMED = re.compile(r"Object (?:missing required field|contains unknown field) `(?P<name>[^`]*)`\Z")
_STEP = re.compile(r"\.(?P<key>[^.\[\]]+)|\[(?P<index>\d+|\.\.\.)\]")

_encoder = msgspec.json.Encoder(enc_hook=encode_scalar)


_decoders: dict[type, msgspec.json.Decoder[Any]] = {}


def _decoder(kind: type[T]) -> msgspec.json.Decoder[T]:
    known = _decoders.get(kind)
    if known is None:
        # Not strict: released clients send numbers and booleans as JSON strings, and the service takes them.
        known = _decoders[kind] = msgspec.json.Decoder(kind, strict=False, dec_hook=decode_scalar)
    return known


def decode_body(raw: bytes, kind: type[T]) -> T:
    """The body as `kind`. ServiceError (400) naming property, value and reason for anything else."""
    try:
        return _decoder(kind).decode(raw)
    except msgspec.ValidationError as bad:
        raise explain(str(bad), raw, kind) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as bad:
        raise unreadable(unreadable_reason(str(bad), raw)) from None
    except RecursionError:
        raise unreadable("The body is nested too deeply.") from None


def convert_body(value: Any, kind: type[T]) -> T:
    """As decode_body, from plain values (a stored document merged with a change)."""
    try:
        return msgspec.convert(value, kind, strict=False, dec_hook=decode_scalar)
    except msgspec.ValidationError as bad:
        raise explain(str(bad), _encoder.encode(value), kind) from None


def encode_document(body: Any) -> bytes:
    """The canonical JSON of a body: wire names, no absent members, canonical durations and enum values."""
    return _encoder.encode(body)


def unreadable(reason: str) -> ServiceError:
    """The answer to a body that is not the JSON it should be."""
    return ServiceError("InvalidRequestBody", None, (("Reason", reason),))


def explain(message: str, raw: bytes, kind: type[Any]) -> ServiceError:
    """A validation failure of msgspec as the service's error."""
    try:
        whole = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError) as bad:
        return unreadable(str(bad))
    except RecursionError:
        return unreadable("The body is nested too deeply.")
    match = _AT.match(message)
    what, path = (match["what"], match["path"] or "$") if match else (message, "$")
    named = _NAMED.match(what)
    if named:
        path = f"{path}.{named['name']}"
    property_name = path.removeprefix("$").removeprefix(".")
    if not property_name:
        return unreadable(told(what, kind, path))
    if what.startswith("Object missing") or "got `null`" in what:
        values = (("PropertyName", property_name), ("Reason", "The property is required."))
        return ServiceError("MissingRequiredProperty", None, values)
    shown = _shown(_value_at(whole, path))
    if property_name.rpartition(".")[2] in SECRET:
        shown = HIDDEN
    if named:
        reason = "There is no property of this name here."
        return bad_property(property_name, shown, reason, "UnsupportedProperty")
    return bad_property(property_name, shown, told(what, kind, path))


def _shown(value: Any) -> str:
    if isinstance(value, str):
        return value
    return msgspec.json.encode(value).decode()


def _value_at(whole: Any, path: str) -> Any:
    """What the caller wrote at a path such as `$.value[3].constraints`; empty where the path is not exact."""
    value = whole
    for step in _STEP.finditer(path):
        key, index = step["key"], step["index"]
        if isinstance(value, dict) and key is not None and key in value:
            value = value[key]
        elif isinstance(value, list) and index is not None and index.isdigit() and int(index) < len(value):
            value = value[int(index)]
        else:
            return ""
    return value
