"""Every example of the language's behaviour table, in its order."""

from __future__ import annotations

import pytest

from poolwright.decide.autoscale import FormulaError, parse
from poolwright.domain.limits import SAMPLE_PERIOD
from poolwright.domain.states import DeallocationOption
from tests.unit.decide.autoscale.parts import NOW, run, samples, shown, told

SERVICE = "$TargetDedicatedNodes={};$TargetLowPriorityNodes={};$NodeDeallocationOption={}"
UNCHANGED = SERVICE.format(2, 0, "requeue")
FAILED = "AutoScalingFormulaEvaluationError"


def code(formula: str, *args: object, **more: object) -> str | None:
    outcome = run(formula, *args, **more)  # type: ignore[arg-type]
    if outcome.run.error is None:
        return None
    assert outcome.run.results == UNCHANGED
    assert outcome.targets == (2, 0)
    assert outcome.option is DeallocationOption.REQUEUE
    return outcome.run.error.code


def dedicated(formula: str, *args: object, **more: object) -> int:
    outcome = run(formula, *args, **more)  # type: ignore[arg-type]
    assert outcome.run.error is None, outcome
    return outcome.targets[0]


def test_01_results_of_a_plain_target() -> None:
    outcome = run("$TargetDedicatedNodes=3")
    assert outcome.run.results == SERVICE.format(3, 0, "requeue")
    assert outcome.run.at == NOW


def test_02_alias() -> None:
    assert dedicated("$TargetDedicated=1") == 1


@pytest.mark.parametrize(
    "formula",
    ["$TargetDedicated=1;$TargetDedicatedNodes=4", "$TargetDedicatedNodes=4;$TargetDedicated=1"],
)
def test_03_full_name_wins(formula: str) -> None:
    assert dedicated(formula) == 4


def test_04_undefined_variable() -> None:
    assert code("$something_useless") == FAILED
    assert told(run("$something_useless")) == "Line 1, Col 1: the variable $something_useless is not defined"


def test_05_missing_expression() -> None:
    with pytest.raises(FormulaError) as caught:
        parse("$TargetDedicatedNodes=")
    assert caught.value.code == "AutoScalingFormulaSyntaxError"
    assert str(caught.value).startswith("Line 1, Col 23: ")


def test_06_weekday() -> None:
    assert dedicated("$TargetDedicatedNodes = (time().weekday == 1 ? 5 : 1);") == 1
    assert dedicated("$TargetDedicatedNodes = (time().weekday == 3 ? 5 : 1);") == 5


def test_07_working_hours() -> None:
    outcome = run(
        "$t=time(); $w=$t.hour>=8 && $t.hour<18; $d=$t.weekday>=1 && $t.weekday<=5;"
        " $TargetDedicatedNodes=$w && $d ? 20:10;"
    )
    assert outcome.targets == (10, 0)
    assert outcome.run.results == SERVICE.format(10, 0, "requeue") + ";$d=1;$t=2018-10-10T19:18:47.805Z;$w=0"


def test_08_time_minus_hours() -> None:
    assert dedicated("$c=time() + (-6 * TimeInterval_Hour); $TargetDedicatedNodes=$c.hour") == 13


GUARDED = (
    "n=25; p=$PendingTasks.GetSamplePercent(180*TimeInterval_Second);"
    " s=p<70 ? 1 : avg($PendingTasks.GetSample(180*TimeInterval_Second)); $TargetDedicatedNodes=min(n,s)"
)


def test_09_average_of_pending_tasks() -> None:
    recorded = samples(40, PendingTasks=[99] * 34 + [5, 6, 7, 8, 9, 10])
    found = shown(GUARDED, recorded)
    assert (found["s"], found["p"], found["n"]) == ("7.5", "100", "25")
    assert found["$TargetDedicatedNodes"] == "7"


def test_10_guard_without_samples() -> None:
    assert dedicated(GUARDED) == 1


def test_11_insufficient_samples() -> None:
    formula = "$TargetDedicatedNodes=avg($PendingTasks.GetSample(TimeInterval_Minute*5,70))"
    assert code(formula) == "InsufficientSampleData"
    outcome = run(formula)
    assert outcome.run.error is not None
    assert outcome.run.error.message == "Autoscale evaluation failed due to insufficient sample data"
    detail = "Line 1, Col 41: Insufficient data from data set: $PendingTasks wanted 70%, received 0%"
    assert told(outcome) == detail


def test_12_percentage_of_samples() -> None:
    recorded = samples(18, ActiveTasks=1)
    wanted = "v=$ActiveTasks.GetSample(TimeInterval_Minute*10, {}); $TargetDedicatedNodes=len(v)"
    assert code(wanted.format(95), recorded) == "InsufficientSampleData"
    assert "wanted 95%, received 90%" in told(run(wanted.format(95), recorded))
    assert dedicated(wanted.format(80), recorded) == 18


@pytest.mark.parametrize("ends", ["1*{0}, 6*{0}", "6*{0}, 1*{0}"])
def test_13_range_in_either_order(ends: str) -> None:
    formula = f"$TargetDedicatedNodes=len($RunningTasks.GetSample({ends.format('TimeInterval_Minute')}))"
    assert dedicated(formula, samples(100, RunningTasks=1)) == 10


def test_14_15_newest_sample() -> None:
    recorded = samples(3, ActiveTasks=[9, 9, 4])
    assert dedicated("$TargetDedicatedNodes=max(0,$ActiveTasks.GetSample(1))", recorded) == 4
    assert dedicated("$TargetDedicatedNodes=val($ActiveTasks.GetSample(1),0)", recorded) == 4


def test_16_flattened_arguments() -> None:
    found = shown("a=avg([1,2,3],7); b=avg(1,2,3,7)")
    assert (found["a"], found["b"]) == ("3.25", "3.25")


def test_17_dedicated_for_preempted() -> None:
    outcome = run(
        "m=25; $TargetDedicatedNodes=min(m,$PreemptedNodeCount.GetSample(180*TimeInterval_Second));"
        " $TargetLowPriorityNodes=min(m,m-$TargetDedicatedNodes); $NodeDeallocationOption=taskcompletion;",
        samples(10, PreemptedNodeCount=6),
    )
    assert (outcome.targets, outcome.option) == ((6, 19), DeallocationOption.TASK_COMPLETION)
    assert outcome.run.results == SERVICE.format(6, 19, "taskcompletion") + ";m=25"


def test_18_rounding_up_by_slots() -> None:
    formula = (
        "$cores=$TargetDedicatedNodes*4; $x=((9-$cores)+3)/4;"
        " $TargetDedicatedNodes=max(0,min($TargetDedicatedNodes+$x,3))"
    )
    found = shown(formula)
    assert (found["$x"], found["$TargetDedicatedNodes"]) == ("1", "3")


def test_19_halving() -> None:
    formula = "$t=0; $v=$t>0? $t:max(0,$TargetDedicatedNodes/2); $TargetDedicatedNodes=max(0,min($v,20))"
    assert dedicated(formula) == 1


CPU = (
    "$n=(min($CPUPercent.GetSample(TimeInterval_Minute*10))>0.7)?($CurrentDedicatedNodes*1.1)"
    ":$CurrentDedicatedNodes; $TargetDedicatedNodes=min(400,$n)"
)


@pytest.mark.parametrize(("nodes", "target"), [(100, 110), (2, 2)])
def test_20_21_growth_by_a_tenth(nodes: int, target: int) -> None:
    assert dedicated(CPU, samples(30, CPUPercent=0.8), dedicated=nodes) == target


def test_22_time_since() -> None:
    formula = (
        'life=time()-time("Wed, 10 Oct 2018 19:00:00 GMT");'
        " $TargetDedicatedNodes = life > TimeInterval_Minute*10 ? 0 : 4"
    )
    found = shown(formula)
    assert (found["$TargetDedicatedNodes"], found["life"]) == ("0", "00:18:47.8050000")


def test_23_type_error() -> None:
    assert code('$TargetDedicatedNodes = 1 + "a"') == FAILED
    assert (
        told(run('$TargetDedicatedNodes = 1 + "a"'))
        == "Line 1, Col 27: '+' does not take a double and a string"
    )


def test_24_comparisons_are_doubles() -> None:
    assert dedicated("rebalance = 0 == 1; $TargetDedicatedNodes = rebalance ? 5 : 1") == 1


@pytest.mark.parametrize("text", ["x=1;" * 101, "x=1;".ljust(8193)])
def test_25_too_long(text: str) -> None:
    with pytest.raises(FormulaError) as caught:
        parse(text)
    assert caught.value.code == "AutoScalingFormulaTooLong"
    parse("x=1;" * 100)
    parse("x=1;".ljust(8192))


def test_26_option_alone() -> None:
    outcome = run("$NodeDeallocationOption = taskcompletion;")
    assert (outcome.targets, outcome.option) == ((2, 0), DeallocationOption.TASK_COMPLETION)
    assert outcome.run.results == SERVICE.format(2, 0, "taskcompletion")
    assert run("x=1").option is DeallocationOption.REQUEUE


def test_27_stop() -> None:
    found = shown("x = 5; stop(); $TargetDedicatedNodes = x;")
    assert (found["$TargetDedicatedNodes"], found["x"]) == ("2", "5")


def test_28_negative_target() -> None:
    assert code("$TargetDedicatedNodes = -3") == FAILED


def test_samples_outside_the_look_back_are_not_seen() -> None:
    old = samples(5, until=NOW - 20 * SAMPLE_PERIOD, ActiveTasks=7)
    assert shown(
        "x=len($ActiveTasks.GetSample(TimeInterval_Minute*5)); y=$ActiveTasks.GetSample(2)", old
    ) == {
        "$TargetDedicatedNodes": "2",
        "$TargetLowPriorityNodes": "0",
        "$NodeDeallocationOption": "requeue",
        "x": "0",
        "y": "[7,7]",
    }
