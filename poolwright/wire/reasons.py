"""Why a value in a body was refused, in words of the caller: what was needed there, and which values there are."""

from __future__ import annotations

import re
from typing import Any

import msgspec.inspect as inspect

_STEP = re.compile(r"\.(?P<key>[^.\[\]]+)|\[(?P<index>\d+|\.\.\.)\]")
_EXPECTED = re.compile(
    r"Expected `(?P<wanted>[^`]+)`(?:, got `(?P<given>[^`]+)`)?(?P<bound> [<>]=? -?\d+)?\Z"
)
_BOUNDS = {"<=": "at most", ">=": "at least", "<": "less than", ">": "more than"}
_WORDS = {
    "int": "a whole number",
    "float": "a number",
    "str": "a string",
    "bool": "true or false",
    "object": "an object",
    "array": "a list",
    "null": "null",
}
TRUNCATED = "Input data was truncated"


def reason(what: str, kind: type[Any], path: str) -> str:
    """What msgspec says of the value at `path` (as `$.value[3].id`) of a body that is to be a `kind`."""
    if what.startswith("Invalid enum value"):
        values = _choices(kind, path)
        return f"The values are {', '.join(values)}." if values else what
    match = _EXPECTED.match(what)
    if match is None:
        return what.replace("`", "'")
    wanted = " or ".join(_words(name) for name in match["wanted"].split(" | ") if name != "null")
    if match["bound"]:
        sign, number = match["bound"].split()
        wanted = f"{wanted}, {_BOUNDS[sign]} {number},"
    given = f", not {_words(match['given'])}" if match["given"] else ""
    return f"{wanted[:1].upper()}{wanted[1:]} is needed{given}."


def unreadable_reason(what: str, raw: bytes) -> str:
    """Why a body is no JSON at all."""
    if not raw.strip():
        return "The body is empty; a JSON object is needed."
    return "The JSON ends too early." if what == TRUNCATED else what


def _words(name: str) -> str:
    return _WORDS.get(name, name)


def _choices(kind: type[Any], path: str) -> tuple[str, ...]:
    """The values of the enumeration at the path; none where the path leads elsewhere."""
    at = _real(inspect.type_info(kind))
    for step in _STEP.finditer(path):
        if step["index"] is not None and isinstance(at, inspect.ListType):
            at = _real(at.item_type)
        elif isinstance(at, inspect.StructType):
            fields = [field for field in at.fields if field.encode_name == step["key"]]
            if not fields:
                return ()
            at = _real(fields[0].type)
        elif isinstance(at, inspect.DictType):
            at = _real(at.value_type)
        else:
            return ()
    return tuple(str(member.value) for member in at.cls) if isinstance(at, inspect.EnumType) else ()


def _real(kind: inspect.Type) -> inspect.Type:
    """The type itself, where null or nothing may stand in its place."""
    while isinstance(kind, inspect.Metadata):
        kind = kind.type
    if isinstance(kind, inspect.UnionType):
        others = [one for one in kind.types if not isinstance(one, inspect.NoneType)]
        return _real(others[0]) if others else kind
    return kind
