"""The value of an expression, in a bounded number of steps."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar

from poolwright.decide.autoscale import functions, operators
from poolwright.decide.autoscale.operators import TypeMismatch, finite, number, plain
from poolwright.decide.autoscale.samples import History, Insufficient
from poolwright.decide.autoscale.syntax import at
from poolwright.decide.autoscale.tree import (
    Binary,
    Call,
    Choice,
    Expression,
    Member,
    Name,
    Number,
    Place,
    Text,
    Unary,
    Vector,
)
from poolwright.decide.autoscale.values import (
    TICKS_PER_MICRO,
    Doubles,
    Interval,
    Metric,
    Timestamp,
    Value,
    instant,
    kind,
    member,
    parse_time,
    timestamp,
)
from poolwright.decide.autoscale.variables import Undefined, Variables
from poolwright.domain.clock import Instant, Rng
from poolwright.domain.limits import FORMULA_STEPS_MAX, SAMPLE_PERIOD

T = TypeVar("T")

_FAILED = "AutoScalingFormulaEvaluationError"
_INSUFFICIENT = "InsufficientSampleData"


class Failed(Exception):
    """The evaluation failed. `code` is the public one; the message names the place and the reason."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Stopped(Exception):
    """The formula called stop()."""


class Evaluator:
    """Computes expressions. Its steps are counted over all statements of one run."""

    def __init__(self, variables: Variables, history: History, rng: Rng) -> None:
        self._variables = variables
        self._history = history
        self._rng = rng
        self._steps = 0

    def value(self, expression: Expression) -> Value:
        """The value. Raises Failed or Stopped."""
        found = self._compute(expression)
        self._steps += 1 + (len(found) if isinstance(found, tuple) else 0)
        if self._steps > FORMULA_STEPS_MAX:
            text = f"{at(expression.place)}: the formula takes more than {FORMULA_STEPS_MAX} steps"
            raise Failed(_FAILED, text)
        return found

    def _compute(self, expression: Expression) -> Value:
        match expression:
            case Number(value=literal):
                return self._guard(expression.place, lambda: finite(literal))
            case Text(value=text):
                return text
            case Name(name=name):
                return self._guard(expression.place, lambda: self._variables.read(name))
            case Vector(items=items):
                return self._doubles("a vector", items, expression.place)
            case Unary(operator=symbol, operand=operand):
                value = self.value(operand)
                return self._guard(expression.place, lambda: operators.unary(symbol, value))
            case Binary():
                return self._binary(expression)
            case Choice(condition=condition, then=then, other=other):
                return self.value(then if self._number(condition, "the condition of '?'") else other)
            case Call():
                return self._call(expression)
            case Member():
                return self._member(expression)

    def _binary(self, expression: Binary) -> Value:
        symbol = expression.operator
        if symbol in ("&&", "||"):
            left = self._number(expression.left, f"'{symbol}'")
            if bool(left) == (symbol == "||"):
                return float(bool(left))
            return float(bool(self._number(expression.right, f"'{symbol}'")))
        one, other = self.value(expression.left), self.value(expression.right)
        return self._guard(expression.place, lambda: operators.binary(symbol, one, other))

    def _number(self, expression: Expression, what: str) -> float:
        value = self.value(expression)
        return self._guard(expression.place, lambda: number(value, what))

    def _doubles(self, what: str, arguments: tuple[Expression, ...], place: Place) -> Doubles:
        """Doubles and vectors flattened into one vector, left to right."""

        def flat(values: list[Value]) -> Iterator[float]:
            for value in map(plain, values):
                if isinstance(value, tuple):
                    yield from value
                elif isinstance(value, float):
                    yield value
                else:
                    raise TypeMismatch(f"{what} takes doubles and vectors, not a {kind(value)}")

        values = [self.value(argument) for argument in arguments]
        return self._guard(place, lambda: tuple(flat(values)))

    def _call(self, call: Call) -> Value:
        name, place = call.function.lower(), call.place
        if name in functions.OF_LIST:
            doubles = self._doubles(name, call.arguments, place)
            return self._guard(place, lambda: finite(functions.OF_LIST[name](doubles)))
        if name == "vec":
            return self._doubles(name, call.arguments, place)
        if name in functions.LOGARITHMS:
            return self._logarithm(name, call)
        if name in ("percentile", "val"):
            return self._pick(name, call)
        if name == "time" and len(call.arguments) == 1:
            return self._time(call.arguments[0])
        if name in ("time", "rand", "stop"):
            if call.arguments:
                raise Failed(_FAILED, f"{at(place)}: {name} takes no {len(call.arguments)} arguments")
            if name == "stop":
                raise Stopped
            return timestamp(self._history.now) if name == "time" else float(self._rng.random())
        raise Failed(_FAILED, f"{at(place)}: there is no function {call.function}")

    def _logarithm(self, name: str, call: Call) -> Value:
        compute = functions.LOGARITHMS[name]
        values = [plain(self.value(argument)) for argument in call.arguments]
        if len(values) == 1 and isinstance(values[0], float):
            single = values[0]
            return self._guard(call.place, lambda: compute(single))
        doubles = self._doubles(name, call.arguments, call.place)
        return self._guard(call.place, lambda: tuple(compute(value) for value in doubles))

    def _pick(self, name: str, call: Call) -> Value:
        values = [plain(self.value(argument)) for argument in call.arguments]
        match values:
            case [tuple() as doubles, float() as which]:
                pick = functions.percentile if name == "percentile" else functions.element
                return self._guard(call.place, lambda: pick(doubles, which))
        got = ", ".join(map(kind, values)) or "nothing"
        raise Failed(_FAILED, f"{at(call.place)}: {name} takes a doubleVec and a double, got {got}")

    def _time(self, argument: Expression) -> Value:
        value = self.value(argument)
        if not isinstance(value, str):
            raise Failed(_FAILED, f"{at(argument.place)}: time takes a string, not a {kind(value)}")
        try:
            return parse_time(value)
        except (ValueError, OverflowError):
            text = f"{at(argument.place)}: {value[:60]!r} is neither a W3C-DTF nor an RFC 1123 time"
            raise Failed(_FAILED, text) from None

    def _member(self, expression: Member) -> Value:
        subject, place = self.value(expression.subject), expression.place
        if expression.arguments is None:
            part = member(subject, expression.name) if isinstance(subject, Timestamp) else None
            if part is None:
                raise Failed(_FAILED, f"{at(place)}: a {kind(subject)} has no member {expression.name}")
            return part
        if not isinstance(subject, Metric):
            raise Failed(_FAILED, f"{at(place)}: a {kind(subject)} has no method {expression.name}")
        arguments = [plain(self.value(argument)) for argument in expression.arguments]
        return self._guard(place, lambda: self._method(subject.name, expression.name, arguments))

    def _method(self, metric: str, written: str, arguments: list[Value]) -> Value:
        name, history = written.lower(), self._history
        match name, arguments:
            case "getsample", [float() as count]:
                return history.newest(metric, int(min(max(count + 1e-9, 0.0), 1e6)))
            case "getsample" | "getsamplepercent", [_, *_]:
                pass
            case "getsampleperiod", []:
                return Interval(SAMPLE_PERIOD * TICKS_PER_MICRO)
            case "count", []:
                return float(history.count(metric))
            case "historybegintime", []:
                return timestamp(history.begin(metric))
        percent: float | None = None
        if name == "getsample" and len(arguments) > 1 and isinstance(arguments[-1], float):
            percent, arguments = arguments[-1], arguments[:-1]
        points = [self._point(argument) for argument in arguments]
        known = name in ("getsample", "getsamplepercent")
        if not known or not 1 <= len(points) <= 2 or any(point is None for point in points):
            got = ", ".join(map(kind, arguments)) or "nothing"
            raise TypeMismatch(f"a metric has no method {written} that takes {got}")
        ends = [point for point in points if point is not None]
        one, other = ends[0], ends[1] if len(ends) == 2 else history.now
        if name == "getsamplepercent":
            return history.percent(metric, one, other)
        if percent is not None:
            return history.require(metric, one, other, percent)
        return history.between(metric, one, other)

    def _point(self, value: Value) -> Instant | None:
        """A moment: a timestamp, or a span counted back from now."""
        if isinstance(value, Timestamp):
            return instant(value)
        if isinstance(value, Interval):
            return self._history.now - value.ticks // TICKS_PER_MICRO
        return None

    def _guard(self, place: Place, compute: Callable[[], T]) -> T:
        """The result, or Failed with the place for what can go wrong with values."""
        try:
            return compute()
        except Insufficient as error:
            raise Failed(_INSUFFICIENT, f"{at(place)}: {error}") from None
        except ZeroDivisionError:
            raise Failed(_FAILED, f"{at(place)}: division by zero") from None
        except (TypeMismatch, Undefined, ValueError, OverflowError) as error:
            raise Failed(_FAILED, f"{at(place)}: {error}") from None
