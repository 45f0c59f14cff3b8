from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest

from poolwright.images.undo import Undo


def act(steps: Mapping[str, Callable[[], object]], failure: BaseException) -> None:
    with Undo() as undo:
        for what, step in steps.items():
            undo.push(what, step)
        raise failure


def test_an_abandoned_action_is_taken_back_in_reverse() -> None:
    done: list[str] = []
    steps = {"one": lambda: done.append("one"), "two": lambda: done.append("two")}
    with pytest.raises(RuntimeError, match="step three"):
        act(steps, RuntimeError("step three"))
    assert done == ["two", "one"]


def test_a_committed_action_stays() -> None:
    done: list[str] = []
    with Undo() as undo:
        undo.push("one", lambda: done.append("one"))
        undo.commit()
    assert done == []


def test_steps_after_a_commit_are_taken_back() -> None:
    done: list[str] = []
    with Undo() as undo:
        undo.push("one", lambda: done.append("one"))
        undo.commit()
        undo.push("two", lambda: done.append("two"))
    assert done == ["two"]


def test_an_interrupt_is_taken_back_too() -> None:
    done: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        act({"one": lambda: done.append("one")}, KeyboardInterrupt())
    assert done == ["one"]


def test_a_failing_undo_does_not_stop_the_others_and_is_told_beside_the_cause() -> None:
    done: list[str] = []

    def fail() -> None:
        raise OSError("device gone")

    steps = {"first": lambda: done.append("first"), "unmount": fail, "last": lambda: done.append("last")}
    with pytest.raises(RuntimeError, match="the cause") as caught:
        act(steps, RuntimeError("the cause"))
    assert done == ["last", "first"]
    assert caught.value.__notes__ == ["undoing failed too: OSError('device gone') (while undoing: unmount)"]


def test_a_failing_undo_without_another_cause_is_raised() -> None:
    def fail() -> None:
        raise OSError("device gone")

    with pytest.raises(ExceptionGroup) as caught, Undo() as undo:
        undo.push("unmount", fail)
    assert caught.group_contains(OSError, match="device gone")
