"""The planner by itself: values in, one step out."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from poolwright.decide.resources import (
    BootMachine,
    Bury,
    Done,
    Fail,
    FailScript,
    Forget,
    Inspect,
    MakeFile,
    Reboot,
    RemoveFile,
    RemoveMachine,
    Seen,
    Settle,
    StartScript,
    StopMachine,
    View,
    Wait,
    next_step,
    script_steps,
)
from poolwright.domain.compute import DiskState, ImageState, MachineDisk, MachineState, Recipe, State, dump
from poolwright.domain.resource import DiskRow, Operation, Resource
from poolwright.domain.resource_id import ACCOUNTS, DISKS, GROUPS, IMAGES, MACHINES
from poolwright.domain.states import ResourceState
from tests.unit.resources.house import SUBSCRIPTION, at

RECIPE = Recipe("d-1", "empty", size_bytes=1024**3)
MACHINE = MachineState(
    "vm-1",
    "id",
    "host",
    "Standard_D2s_v3",
    "running",
    "running",
    (MachineDisk(None, at(DISKS, "os").text),),
    made=True,
)


def resource(type: str, state: ResourceState, inner: State | None, **more: object) -> Resource:
    base = Resource(
        at(type, "x").text,
        type,
        SUBSCRIPTION,
        "Studio",
        "x",
        "local",
        state,
        1,
        1,
        inner=dump(inner) if inner else b"{}",
    )
    return replace(base, **more)  # type: ignore[arg-type]


def row(state: str, name: str = "d-1") -> DiskRow:
    return DiskRow(name, "owner", "data", state, "sha256:0", 5)


def disk(state: ResourceState = ResourceState.CREATING, **more: object) -> Resource:
    return resource(DISKS, state, DiskState(RECIPE), **more)


def machine(state: ResourceState, inner: MachineState = MACHINE, **more: object) -> View:
    os_disk = replace(disk(ResourceState.SUCCEEDED), id=at(DISKS, "os").text)
    return View(resource(MACHINES, state, inner, **more), disks={os_disk.key: os_disk})


GOOD = Seen("running", 1)
C, U, S, F, D = (
    ResourceState.CREATING,
    ResourceState.UPDATING,
    ResourceState.SUCCEEDED,
    ResourceState.FAILED,
    ResourceState.DELETING,
)


def test_a_disk_is_made_then_settled() -> None:
    assert next_step(View(disk(), (row("making"),))) == MakeFile(RECIPE)
    assert next_step(View(disk(), (row("ready"),))) == Settle(S)
    assert next_step(View(disk(S), (row("ready"),))) == Done()
    assert isinstance(next_step(View(disk(), ())), Fail)


def test_a_failed_creation_is_undone_first() -> None:
    broken = disk(error=("X", "y"))
    assert next_step(View(broken, (row("deleting"),))) == RemoveFile("d-1")
    assert next_step(View(broken, (row("ready"),))) == RemoveFile("d-1")
    assert next_step(View(broken, ())) == Settle(F)


def test_an_image_is_inspected_once_all_disks_are_frozen() -> None:
    recipes = (Recipe("i-os", "freeze", "s-1"), Recipe("i-lun0", "freeze", "s-2"))
    state = ImageState("i-os", recipes)
    made = (row("ready", "i-os"), row("ready", "i-lun0"))
    assert next_step(View(resource(IMAGES, C, state), (made[0], row("making", "i-lun0")))) == MakeFile(
        recipes[1]
    )
    assert next_step(View(resource(IMAGES, C, state), made)) == Inspect("i-os")
    assert next_step(View(resource(IMAGES, C, replace(state, digest="d")), made)) == Settle(S)


def test_deleting() -> None:
    assert isinstance(next_step(View(disk(D), (row("ready"),), held=True)), Wait)
    assert next_step(View(disk(D), (row("ready"),))) == RemoveFile("d-1")
    assert next_step(View(disk(D))) == Forget()
    image = ImageState("i-os", ())
    assert isinstance(next_step(View(resource(IMAGES, D, image), left=2)), Wait)
    forced = resource(IMAGES, D, replace(image, force=True))
    assert next_step(View(forced, (row("ready", "i-os"),), left=2)) == Bury()
    assert next_step(View(forced, (row("ready", "i-os"),))) == RemoveFile("i-os")
    for type in (GROUPS, ACCOUNTS):
        assert isinstance(next_step(View(resource(type, D, None), left=1)), Wait)
        assert next_step(View(resource(type, D, None))) == Forget()
    assert next_step(machine(D)) == RemoveMachine()
    assert next_step(machine(D, replace(MACHINE, gone=True))) == Forget()


@pytest.mark.parametrize(
    ("seen", "step"),
    [
        (None, BootMachine()),
        (Seen("stopped", 1), BootMachine()),
        (Seen("running", 0), BootMachine()),
        (GOOD, Settle(S)),
    ],
)
def test_towards_running(seen: Seen | None, step: object) -> None:
    assert next_step(replace(machine(U), seen=seen)) == step


def test_a_machine_waits_for_its_disks() -> None:
    view = machine(C)
    (key,) = view.disks
    assert isinstance(next_step(replace(view, disks={key: disk(C)})), Wait)
    failed = next_step(replace(view, disks={key: disk(F, error=("NoSpace", "full"))}))
    assert isinstance(failed, Fail)
    assert failed.code == "NoSpace"
    assert isinstance(next_step(replace(view, disks={})), Fail)


def test_a_broken_machine_fails() -> None:
    assert isinstance(next_step(replace(machine(U), seen=Seen("broken", 1, "no init"))), Fail)


def test_stopping() -> None:
    off = replace(MACHINE, want="deallocated")
    assert next_step(replace(machine(U, off), seen=GOOD)) == StopMachine()
    assert next_step(machine(U, off)) == Settle(S)
    assert next_step(replace(machine(U, off), seen=Seen("stopped", 1))) == Settle(S)


def test_a_failed_machine_is_taken_apart_only_if_it_never_ran() -> None:
    error = ("X", "y")
    assert next_step(machine(C, replace(MACHINE, made=False), error=error)) == RemoveMachine()
    assert next_step(machine(C, replace(MACHINE, made=False, gone=True), error=error)) == Settle(F)
    assert next_step(machine(U, error=error)) == Settle(F)


def test_a_lost_machine_is_booted_again() -> None:
    assert isinstance(next_step(machine(S)), Reboot)
    assert next_step(replace(machine(S), seen=GOOD)) == Done()
    assert next_step(machine(S, replace(MACHINE, want="stopped", power="stopped"))) == Done()
    assert next_step(machine(F)) == Done()


def script(attempts: int = 0, fence: int = 1) -> Operation:
    request = json.dumps({"script": ["x"], "timeout_s": 1.0, "fence": fence}).encode()
    return Operation("op", "key", "runCommand", "InProgress", 1, request=request, attempts=attempts)


def test_scripts() -> None:
    running = replace(machine(S), seen=GOOD)
    (step,) = script_steps(replace(running, operations=(script(),)))
    assert isinstance(step, StartScript)
    assert script_steps(replace(running, operations=(script(1),), live=frozenset({"op"}))) == []
    for view, op in (
        (running, script(1)),
        (running, script(fence=7)),
        (machine(S, replace(MACHINE, power="stopped")), script()),
        (machine(U), script()),
    ):
        (step,) = script_steps(replace(view, operations=(op,)))
        assert isinstance(step, FailScript)


@given(
    st.sampled_from(list(ResourceState)),
    st.sampled_from(["running", "stopped", "deallocated"]),
    st.none() | st.builds(Seen, st.sampled_from(["running", "stopped", "broken"]), st.integers(0, 2)),
    st.booleans(),
    st.booleans(),
    st.none() | st.just(("X", "y")),
)
def test_a_machine_always_has_a_next_step(
    state: ResourceState, want: str, seen: Seen | None, made: bool, gone: bool, error: tuple[str, str] | None
) -> None:
    inner = replace(MACHINE, want=want, made=made, gone=gone)
    step = next_step(replace(machine(state, inner, error=error), seen=seen))
    if state in (S, F):
        assert isinstance(step, (Done, Reboot))
    if state is D:
        assert isinstance(step, (RemoveMachine, Forget))
    assert (step == Forget()) == (state is D and gone)
