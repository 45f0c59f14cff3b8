"""Rows <-> domain values.

A row holds the fields of its dataclass in order of declaration. Numbers, texts and bytes go as they are, states by
their value, everything nested as JSON text. What a row cannot say (a value outside its enum, JSON of another shape)
raises when it is read: the store is the truth, so it does not guess.
"""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Callable, Iterable, Sequence
from enum import Enum
from operator import attrgetter
from typing import Any, Generic, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec

T = TypeVar("T")
Row = Sequence[Any]
_Code = Callable[[Any], Any]
_ENCODER = msgspec.json.Encoder()


def to_json(value: object) -> str:
    """Compact JSON of a domain value."""
    return _ENCODER.encode(value).decode()


def _codec(hint: Any) -> tuple[_Code, _Code] | None:
    """(to column, from column) for a field of this type; None where the column holds the value itself."""
    if get_origin(hint) in (Union, types.UnionType):
        (hint,) = (arm for arm in get_args(hint) if arm is not type(None))
    if hint in (int, str, bytes, float):
        return None
    if hint is bool:
        return int, bool
    if isinstance(hint, type) and issubclass(hint, Enum):
        return attrgetter("value"), {member.value: member for member in hint}.__getitem__
    return to_json, msgspec.json.Decoder(hint).decode


class Rows(Generic[T]):
    """The mapping of one dataclass. `omit` names fields that `values` leaves out (columns written elsewhere)."""

    def __init__(self, kind: type[T], omit: Iterable[str] = ()) -> None:
        hints = get_type_hints(kind)
        names = [field.name for field in dataclasses.fields(kind)]  # type: ignore[arg-type]
        codecs = {name: codec for name in names if (codec := _codec(hints[name])) is not None}
        written = [name for name in names if name not in set(omit)]
        self.names = tuple(names)
        self._kind = kind
        self._get = attrgetter(*written)
        self._encode = [(i, codecs[name][0]) for i, name in enumerate(written) if name in codecs]
        self._decode = [(i, codecs[name][1]) for i, name in enumerate(names) if name in codecs]

    def values(self, item: T) -> list[Any]:
        """The columns of `item`, in order of its fields."""
        row = list(self._get(item))
        for i, encode in self._encode:
            if row[i] is not None:
                row[i] = encode(row[i])
        return row

    def read(self, row: Row) -> T:
        """The value a full row stands for."""
        values = list(row)
        for i, decode in self._decode:
            if values[i] is not None:
                values[i] = decode(values[i])
        return self._kind(*values)

    def maybe(self, row: Row | None) -> T | None:
        """As `read`, for a row that may not be there."""
        return None if row is None else self.read(row)
