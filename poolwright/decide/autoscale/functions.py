"""The functions of the formula language on doubles and vectors."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence

from poolwright.decide.autoscale.values import Doubles


def _filled(name: str, of: Callable[[Sequence[float]], float], least: int = 1) -> Callable[[Doubles], float]:
    def function(values: Doubles) -> float:
        if len(values) < least:
            raise ValueError(
                f"{name} needs at least {least} value{'s' if least > 1 else ''}, got {len(values)}"
            )
        return float(of(values))

    return function


#: Functions of a doubleVecList: arguments are flattened, left to right.
OF_LIST: dict[str, Callable[[Doubles], float]] = {
    "avg": _filled("avg", lambda v: math.fsum(v) / len(v)),
    "max": _filled("max", max),
    "min": _filled("min", min),
    "sum": math.fsum,
    "norm": lambda v: math.hypot(*v),
    "range": _filled("range", lambda v: max(v) - min(v)),
    "std": _filled("std", statistics.stdev, least=2),
    "len": lambda v: float(len(v)),
}


def _logarithm(name: str, of: Callable[[float], float]) -> Callable[[float], float]:
    def function(value: float) -> float:
        if value <= 0:
            raise ValueError(f"{name} needs a number above 0")
        return of(value)

    return function


#: Functions of one double, or of each element of a doubleVecList.
LOGARITHMS: dict[str, Callable[[float], float]] = {
    "lg": _logarithm("lg", math.log2),
    "ln": _logarithm("ln", math.log),
    "log": _logarithm("log", math.log10),
}


def percentile(values: Doubles, percent: float) -> float:
    """The element below which `percent` of the values lie, by nearest rank. Raises ValueError."""
    if not values:
        raise ValueError("percentile needs at least 1 value, got 0")
    if not 0 <= percent <= 100:
        raise ValueError("percentile needs a number from 0 to 100")
    return sorted(values)[max(0, math.ceil(percent / 100 * len(values)) - 1)]


def element(values: Doubles, index: float) -> float:
    """The element at a place, from 0. Raises ValueError outside the vector."""
    place = math.floor(index + 1e-9)
    if not 0 <= place < len(values):
        raise ValueError(f"there is no element {index:g} in a vector of {len(values)}")
    return values[place]
