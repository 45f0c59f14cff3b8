"""Types of single values in bodies: what the service coerces, and how it writes them back."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

from msgspec import Meta

from poolwright.domain.clock import Micros
from poolwright.wire.durations import format_duration, parse_duration

Int32 = Annotated[int, Meta(ge=-(2**31), le=2**31 - 1)]
"""Numbers of the Batch service are 32 bits wide unless they say otherwise."""


class WireEnum(StrEnum):
    """An enumeration whose values are accepted in any case and written in their own."""

    @classmethod
    def _missing_(cls, value: object) -> WireEnum | None:
        if isinstance(value, str):
            wanted = value.lower()
            for member in cls:
                if member.value.lower() == wanted:
                    return member
        return None


class Duration:
    """A length of time in a body; `micros` are microseconds."""

    __slots__ = ("micros",)

    def __init__(self, micros: Micros) -> None:
        self.micros = micros

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Duration) and other.micros == self.micros

    def __hash__(self) -> int:
        return hash(self.micros)

    def __repr__(self) -> str:
        return f"Duration({format_duration(self.micros)})"


def decode_scalar(kind: type[Any], value: Any) -> Any:
    """The msgspec hook for types it does not know. ValueError with the reason, which becomes the error's."""
    if kind is not Duration:
        raise NotImplementedError(f"no decoder for {kind}")
    if not isinstance(value, str):
        raise ValueError(f"a duration is an ISO 8601 string such as PT15M, not {type(value).__name__}")
    return Duration(parse_duration(value))


def encode_scalar(value: Any) -> Any:
    """The msgspec hook for writing values it does not know."""
    if isinstance(value, Duration):
        return format_duration(value.micros)
    raise NotImplementedError(f"no encoder for {type(value)}")
