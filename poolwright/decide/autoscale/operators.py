"""The operators of the formula language: which types go with which, and what comes out."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable

from poolwright.decide.autoscale.values import Doubles, Interval, Metric, Timestamp, Value, kind


class TypeMismatch(Exception):
    """The operator or function does not take values of these types."""


_ARITHMETIC: dict[str, Callable[[float, float], float]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
}
_COMPARISONS: dict[str, Callable[[object, object], bool]] = {
    "<": operator.lt,  # type: ignore[dict-item]
    "<=": operator.le,  # type: ignore[dict-item]
    ">": operator.gt,  # type: ignore[dict-item]
    ">=": operator.ge,  # type: ignore[dict-item]
    "==": operator.eq,
    "!=": operator.ne,
}


def plain(value: Value) -> Value:
    """A metric used bare as the number it means; anything else as it is."""
    return value.number if isinstance(value, Metric) else value


def number(value: Value, what: str) -> float:
    """The value as a double. Raises TypeMismatch."""
    found = plain(value)
    if not isinstance(found, float):
        raise TypeMismatch(f"{what} needs a double, got a {kind(found)}")
    return found


def unary(symbol: str, value: Value) -> Value:
    """`-` or `!`. Raises TypeMismatch."""
    if symbol == "-" and isinstance(value, Interval):
        return Interval(-value.ticks)
    operand = number(value, f"'{symbol}'")
    return -operand if symbol == "-" else float(not operand)


def binary(symbol: str, left: Value, right: Value) -> Value:
    """An operator that looks at both of its sides.

    Raises TypeMismatch, ValueError (vectors of different lengths), ZeroDivisionError or OverflowError.
    """
    left, right = plain(left), plain(right)
    if symbol in _COMPARISONS:
        comparable = isinstance(left, float | str | Timestamp | Interval) and type(left) is type(right)
        if not comparable:
            raise _mismatch(symbol, left, right)
        return float(_COMPARISONS[symbol](left, right))
    if isinstance(left, float | tuple) and isinstance(right, float | tuple):
        return _numeric(symbol, left, right)
    return _temporal(symbol, left, right)


def _numeric(symbol: str, left: float | Doubles, right: float | Doubles) -> Value:
    compute = _ARITHMETIC[symbol]
    if isinstance(left, float) and isinstance(right, float):
        return finite(compute(left, right))
    if isinstance(left, float):
        assert isinstance(right, tuple)
        left = (left,) * len(right)
    if isinstance(right, float):
        right = (right,) * len(left)
    if len(left) != len(right):
        raise ValueError(f"'{symbol}' needs vectors of one length, got {len(left)} and {len(right)}")
    return tuple(finite(compute(a, b)) for a, b in zip(left, right, strict=True))


def _temporal(symbol: str, left: Value, right: Value) -> Value:
    match symbol, left, right:
        case "+", Interval(a), Interval(b):
            return Interval(a + b)
        case "-", Interval(a), Interval(b):
            return Interval(a - b)
        case "*", Interval(a), float():
            return Interval(_ticks(a * right))
        case "*", float(), Interval(b):
            return Interval(_ticks(left * b))
        case "/", Interval(a), float():
            return Interval(_ticks(a / right))
        case "+", Timestamp(a), Interval(b):
            return Timestamp(a + b)
        case "+", Interval(a), Timestamp(b):
            return Timestamp(a + b)
        case "-", Timestamp(a), Interval(b):
            return Timestamp(a - b)
        case "-", Timestamp(a), Timestamp(b):
            return Interval(a - b)
    raise _mismatch(symbol, left, right)


def _ticks(value: float) -> int:
    return round(finite(value))


def finite(value: float) -> float:
    """The value. Raises OverflowError for infinity and what is not a number."""
    if not math.isfinite(value):
        raise OverflowError("the result is not a finite number")
    return value


def _mismatch(symbol: str, left: Value, right: Value) -> TypeMismatch:
    return TypeMismatch(f"'{symbol}' does not take a {kind(left)} and a {kind(right)}")
