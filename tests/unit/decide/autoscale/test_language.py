"""Types, operators, functions, limits; and properties: precedence, printing, and that no formula breaks the service."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from poolwright.decide.autoscale import FormulaError, parse
from poolwright.decide.autoscale.values import Timestamp, parse_time, show, timestamp
from poolwright.domain.autoscale import Sample
from poolwright.domain.clock import HOUR, SECOND
from tests.unit.decide.autoscale.parts import NOW, run, samples, shown, told


def value(expression: str, recorded: list[Sample] | None = None, **more: Any) -> str:
    return shown(f"x={expression}", recorded or (), **more)["x"]


def failure(expression: str, recorded: list[Sample] | None = None) -> str:
    return told(run(f"x={expression}", recorded or ()))


@pytest.mark.parametrize(
    ("expression", "printed"),
    [
        ("1 + 2 * 3", "7"),
        ("(1 + 2) * 3", "9"),
        ("10 - 2 - 3", "5"),
        ("8 / 4 / 2", "1"),
        ("-2 * -3", "6"),
        ("!0 + !3", "1"),
        ("1 < 2 == 2 > 1", "1"),
        ("1 || 0 && 0", "1"),
        ("0 ? 1 : 0 ? 2 : 3", "3"),
        ("1 ? 2 : 1/0", "2"),
        ("0 && 1/0", "0"),
        ("2 || 1/0", "1"),
        (".5 + 1e3 + 2.", "1002.5"),
        ("[1,2,3] * 2", "[2,4,6]"),
        ("2 - [1,2]", "[1,0]"),
        ("[1,2] + [3,4]", "[4,6]"),
        ("[]", "[]"),
        ("vec(1,[2,3])", "[1,2,3]"),
        ("TimeInterval_Day * 2 + TimeInterval_Hour", "2.01:00:00"),
        ("-TimeInterval_100ns", "-00:00:00.0000001"),
        ("TimeInterval_Year / 365 == TimeInterval_Day", "1"),
        ("time() > time('2018')", "1"),
        ("time('2018-10-10T21:00:00.123456789+02:00')", "2018-10-10T19:00:00.123Z"),
        ("time('2018-10-10') - TimeInterval_Second", "2018-10-09T23:59:59.000Z"),
        ("time('2018-10-14').weekday", "0"),
        ("vec(time().year, time().month, time().day, time().hour)", "[2018,10,10,19]"),
        ("vec(time().minute, time().second, time().weekday)", "[18,47,3]"),
        (
            "vec(time('2018-10-08').weekday, time('2018-10-12').weekday, time('2018-10-13').weekday)",
            "[1,5,6]",
        ),
        ("TimeInterval_Zero == TimeInterval_Day * 0", "1"),
        ("TimeInterval_Microsecond / 10 == TimeInterval_100ns", "1"),
        ("TimeInterval_Millisecond == TimeInterval_Microsecond * 1000", "1"),
        ("TimeInterval_Second == 1000 * TimeInterval_Millisecond", "1"),
        ("TimeInterval_Minute == 60 * TimeInterval_Second", "1"),
        ("TimeInterval_Hour == 60 * TimeInterval_Minute", "1"),
        ("TimeInterval_Day == 24 * TimeInterval_Hour", "1"),
        ("TimeInterval_Week == 7 * TimeInterval_Day", "1"),
        ("TimeInterval_Hour + time() == time() + TimeInterval_Hour", "1"),
        ("TimeInterval_Hour - TimeInterval_Minute", "00:59:00"),
        ("[2,4] / 2", "[1,2]"),
        ("[2,4] / [2,1]", "[1,4]"),
        ("[2,4] * [2,1]", "[4,4]"),
        ("[2,4] - [2,1]", "[0,3]"),
        ("[2,4] + 1", "[3,5]"),
        ("vec('a' <= 'b', 'a' == 'a', 'a' != 'a', 'b' >= 'c')", "[1,1,0,0]"),
        ("vec(TimeInterval_Day > TimeInterval_Hour, TimeInterval_Day != TimeInterval_Hour)", "[1,1]"),
        ("vec(time() <= time('Wed, 10 Oct 2018 19:18:48 GMT'), time() != time())", "[1,0]"),
        ("avg(1,[2,6])", "3"),
        ("min([3,2],4)", "2"),
        ("sum(1,[2,3])", "6"),
        ("len(1,[2,3],[])", "3"),
        ("ln(1)", "0"),
        ("log(1000)", "3"),
        ("lg([2,4])", "[1,2]"),
        ("'a' < \"b\"", "1"),
        ("lg(8)", "3"),
        ("log([1,10,100])", "[0,1,2]"),
        ("ln(vec(1))", "[0]"),
        ("norm(3,4)", "5"),
        ("range(3,[9,5])", "6"),
        ("std(2,4,4,4,5,5,7,9) * std(2,4,4,4,5,5,7,9)", "4.57142857142857"),
        ("len()", "0"),
        ("sum([])", "0"),
        ("percentile([15,20,35,40,50], 30)", "20"),
        ("percentile([15,20,35,40,50], 100)", "50"),
        ("percentile([3,1], 0)", "1"),
        ("MAX(1, 2)", "2"),
        ("$currentdedicatedNODES + 0", "2"),
        ("$TaskSlotsPerNode", "4"),
        ("1/3", "0.333333333333333"),
        ("rand() < 1 && rand() >= 0", "1"),
        ("requeue", "requeue"),
    ],
)
def test_expressions(expression: str, printed: str) -> None:
    assert value(expression, slots_per_node=4) == printed


@pytest.mark.parametrize(
    ("expression", "reason"),
    [
        ("1/0", "Line 1, Col 4: division by zero"),
        ("[1,2] + [1]", "vectors of one length"),
        ("avg([])", "avg needs at least 1 value"),
        ("std(1)", "std needs at least 2 values"),
        ("val([1], 1)", "no element 1 in a vector of 1"),
        ("lg(0)", "above 0"),
        ("1e999", "not a finite number"),
        ("1e308 * 10", "not a finite number"),
        ("nofunction(1)", "there is no function nofunction"),
        ("time().fortnight", "has no member fortnight"),
        ("(5).GetSample(1)", "a double has no method GetSample"),
        ("$ActiveTasks.GetSample('x')", "a metric has no method GetSample that takes string"),
        ("$ActiveTasks.GetSample(1, 70)", "a metric has no method"),
        ("$ActiveTasks.GetSample()", "a metric has no method GetSample that takes nothing"),
        ("$ActiveTasks.Nothing(1)", "no method Nothing"),
        ("TimeInterval_Day + 1", "'+' does not take a timeinterval and a double"),
        ("time() * 2", "'*' does not take"),
        ("[1] == [1]", "'==' does not take"),
        ("'a' ? 1 : 2", "the condition of '?' needs a double"),
        ("time('yesterday')", "neither a W3C-DTF nor an RFC 1123 time"),
        ("time(1)", "time takes a string"),
        ("TimeInterval_Year * 1e9", "too long"),
        ("time() + TimeInterval_Year * 9000", "outside years"),
        ("rand(1)", "rand takes no 1 arguments"),
    ],
)
def test_failures_name_place_and_reason(expression: str, reason: str) -> None:
    told_by = failure(expression)
    assert told_by.startswith("Line 1, Col ")
    assert reason in told_by


@pytest.mark.parametrize(
    "formula", ["$ActiveTasks = 1", "TimeInterval_Day=1", "requeue = 2", "$NodeDeallocationOption = 1"]
)
def test_what_the_service_gives_is_not_assigned(formula: str) -> None:
    assert told(run(formula)).startswith("Line 1, Col 1: ")


def test_samples() -> None:
    recorded = samples(10, ActiveTasks=list(range(10)))
    assert value("$ActiveTasks", recorded) == "9"
    assert value("$ActiveTasks + 1", recorded) == "10"
    assert value("$ActiveTasks.Count()", recorded) == "10"
    assert value("$ActiveTasks.GetSamplePeriod()", recorded) == "00:00:30"
    assert value("$ActiveTasks.HistoryBeginTime()", recorded) == "2018-10-10T19:14:17.805Z"
    assert value("$ActiveTasks.GetSample(3)", recorded) == "[7,8,9]"
    assert value("$ActiveTasks.GetSample(time() - TimeInterval_Minute)", recorded) == "[8,9]"
    assert value("$ActiveTasks.GetSamplePercent(TimeInterval_Minute * 10)", recorded) == "50"
    assert value("$ActiveTasks.GetSamplePercent(TimeInterval_Zero)", recorded) == "0"
    assert value("$CPUPercent", recorded) == "0"
    assert value("len($CPUPercent.GetSample(5))", recorded) == "0"
    assert "no samples" in failure("$CPUPercent.HistoryBeginTime()", recorded)
    assert shown("m=$ActiveTasks; x=len(m.GetSample(2))", recorded)["x"] == "2"


@pytest.mark.parametrize(
    ("expression", "reads"),
    [
        ("$ActiveTasks + 1", 0),
        ("len($ActiveTasks.GetSample(120))", 0),
        ("len($ActiveTasks.GetSample(TimeInterval_Hour))", 0),
        ("len($ActiveTasks.GetSample(121))", 1),
        ("len($ActiveTasks.GetSample(TimeInterval_Hour * 2))", 1),
        ("$ActiveTasks.GetSamplePercent(TimeInterval_Hour * 2)", 1),
        ("$ActiveTasks.Count() + $RunningTasks.Count()", 1),
        ("$ActiveTasks.HistoryBeginTime()", 1),
        ("$CPUPercent", 1),
    ],
)
def test_older_samples_are_read_only_when_they_are_looked_at(expression: str, reads: int) -> None:
    every = samples(300, ActiveTasks=list(range(300)), RunningTasks=1)
    asked = []

    def older() -> list[Sample]:
        asked.append(1)
        return every

    lazy = shown(f"x={expression}", every[-120:], since=NOW - HOUR, older=older)
    assert lazy == shown(f"x={expression}", every)
    assert len(asked) == reads


def test_ends_of_a_look_back_with_and_without_a_percentage() -> None:
    recorded = samples(20, ActiveTasks=list(range(20)))
    ends = "TimeInterval_Minute * 1, TimeInterval_Minute * 6"
    assert value(f"len($ActiveTasks.GetSample({ends}))", recorded) == "10"
    assert value(f"len($ActiveTasks.GetSample({ends}, 100))", recorded) == "10"
    assert value(f"$ActiveTasks.GetSamplePercent({ends})", recorded) == "100"
    past = "TimeInterval_Minute * 6, TimeInterval_Minute * 26"
    assert value(f"$ActiveTasks.GetSamplePercent({past})", recorded) == "20"
    wanted = "wanted 70%, received 20%"
    assert wanted in failure(f"$ActiveTasks.GetSample({past}, 70)", recorded)
    moments = "time() - TimeInterval_Minute * 6, time() - TimeInterval_Minute"
    assert value(f"len($ActiveTasks.GetSample({moments}))", recorded) == "10"


def test_aliases_of_both_kinds_stand_for_the_targets() -> None:
    assert run("$TargetDedicated=3;$TargetLowPriority=4").targets == (3, 4)
    assert run("$TargetLowPriority=1;$TargetLowPriorityNodes=5;$x=$TargetLowPriority").targets == (2, 5)
    assert run("$TargetLowPriorityNodes = $TargetDedicated + 1").targets == (2, 3), "it begins as it is"


@pytest.mark.parametrize("option", ["requeue", "terminate", "taskcompletion", "retaineddata"])
def test_every_deallocation_option_is_a_bare_word(option: str) -> None:
    outcome = run(f"$NodeDeallocationOption = {option}")
    assert (outcome.option.value, outcome.run.error) == (option, None)


def test_names() -> None:
    assert shown("$x=1; x=x+1; $y=$X")["x"] == "2"
    assert shown("$x=1; $x='now a text'; $x=$x")["$x"] == "now a text"
    assert list(shown("b=1; $a=2; C=3"))[3:] == ["$a", "b", "C"]


def test_places_count_lines() -> None:
    formula = "// first\n$a = 1;\r\n  $TargetDedicatedNodes = $a +\n nowhere;"
    assert told(run(formula)).startswith("Line 4, Col 2: ")


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("x=1\ny=2", "Line 2, Col 1"),
        ("x=#", "Line 1, Col 3"),
        ("x=(1", "Line 1, Col 5"),
        ("x=1;\ny=\n", "Line 3, Col 1"),
        ("x='a\n'", "Line 1, Col 3"),
        ("$=1", "Line 1, Col 1"),
    ],
)
def test_syntax_errors_name_the_place(text: str, place: str) -> None:
    with pytest.raises(FormulaError) as caught:
        parse(text)
    assert str(caught.value).startswith(place + ":")


def test_nesting_is_bounded_and_the_deepest_still_runs() -> None:
    with pytest.raises(FormulaError, match="nested"):
        parse("x=" + "-" * 100 + "1")
    assert value("max(" * 99 + "1" + ")" * 99) == "1"
    assert value("(" * 2000 + "1" + ")" * 2000) == "1"


def test_growing_vectors_are_stopped() -> None:
    formula = "v=[1,2,3,4,5,6,7,8,9];" + "v=vec(v,v,v,v,v,v,v,v);" * 90
    assert "more than 300000 steps" in told(run(formula))


def test_a_slip_of_the_pen_does_not_ask_for_a_million_nodes() -> None:
    assert "at most 10000" in told(run("$TargetDedicatedNodes=1e6"))
    assert run("$TargetDedicatedNodes=2.9999999996").targets[0] == 3


_NUMBERS = st.integers(0, 9).map(str)
_SYMBOLS = ("+", "-", "*", "/", "<", "<=", ">", ">=", "==", "!=")


@given(
    st.recursive(_NUMBERS, lambda inner: st.tuples(inner, st.sampled_from(_SYMBOLS), inner), max_leaves=12)
)
def test_precedence_is_that_of_the_operators_table(tree: Any) -> None:
    """Python has the same levels for arithmetic; comparisons get parentheses, whose levels differ there."""

    def written(node: Any, parenthesised: bool) -> str:
        if isinstance(node, str):
            return node
        left, symbol, right = node
        text = f"{written(left, parenthesised)} {symbol} {written(right, parenthesised)}"
        return f"({text})" if parenthesised or symbol not in "+-*/" else text

    text = written(tree, False)
    try:
        wanted = float(eval(text))
    except ZeroDivisionError:
        assert "division by zero" in failure(text)
        return
    assert math.isclose(float(value(text)), wanted, rel_tol=1e-12, abs_tol=1e-12)


@given(st.lists(st.floats(-1e12, 1e12), max_size=6))
def test_printed_vectors_read_back(values: list[float]) -> None:
    text = show(tuple(values))
    again = [float(part) for part in value(text)[1:-1].split(",") if part]
    assert len(again) == len(values)
    assert all(math.isclose(a, b, rel_tol=1e-14) for a, b in zip(again, values, strict=True))


@given(st.integers(0, 4_000_000_000_000))
def test_printed_times_read_back(milliseconds: int) -> None:
    moment = timestamp(milliseconds * SECOND // 1000)
    assert parse_time(show(moment)) == moment
    assert isinstance(moment, Timestamp)


_WORDS = st.sampled_from(
    "$x y = == + - * / ( ) [ ] , ; ? : && || ! 1 2.5 'a' . time() weekday $ActiveTasks .GetSample(1) GetSample("
    " TimeInterval_Hour avg( val( stop() $TargetDedicatedNodes= $CurrentDedicatedNodes rand() percentile(".split()
)


@settings(max_examples=300)
@given(st.lists(_WORDS, max_size=25).map("".join))
def test_no_formula_breaks_the_service(text: str) -> None:
    outcome = run(text, samples(5, ActiveTasks=3))
    assert outcome.run.at == NOW
    assert outcome.run.results.startswith("$TargetDedicatedNodes=")
    assert min(outcome.targets) >= 0
