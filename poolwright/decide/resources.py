"""What a management resource needs next. Pure: one resource and what surrounds it in, one step out.

Every step may be taken again after a crash at any point, so a plan is never remembered: it is made anew from what is
there. A failed creation first removes what was made, and only then says Failed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from poolwright.domain.compute import (
    ImageState,
    MachineState,
    Recipe,
    disk_state,
    image_state,
    machine_state,
)
from poolwright.domain.resource import DiskRow, Operation, Resource
from poolwright.domain.resource_id import ACCOUNTS, DISKS, GROUPS, IMAGE_TYPES, MACHINES, SNAPSHOTS
from poolwright.domain.states import PowerState, ResourceState

_CHANGING = frozenset({ResourceState.CREATING, ResourceState.UPDATING})


@dataclass(frozen=True, slots=True)
class Seen:
    """A machine as the engine shows it. `state` is "running", "stopped" or "broken"."""

    state: str
    fence: int
    detail: str = ""


@dataclass(frozen=True, slots=True)
class View:
    """One resource and its surroundings at one moment. What does not concern its type stays at the default."""

    resource: Resource
    files: tuple[DiskRow, ...] = ()  # recorded for it
    operations: tuple[Operation, ...] = ()  # in progress on it
    disks: Mapping[str, Resource] = field(default_factory=dict)  # machine: its disks by key
    seen: Seen | None = None  # machine: None when the engine has none
    left: int = 0  # group: members; account: pools and jobs; image: pools that use it
    held: bool = False  # disk: its machine still exists
    live: frozenset[str] = frozenset()  # machine: run commands this process is running


@dataclass(frozen=True, slots=True)
class MakeFile:
    """Make one file of the image plane."""

    recipe: Recipe


@dataclass(frozen=True, slots=True)
class RemoveFile:
    """Remove one file of the image plane, and then its record."""

    name: str


@dataclass(frozen=True, slots=True)
class Inspect:
    """Look at what is on the image's OS disk, and record it with the digest of all its disks."""

    name: str


@dataclass(frozen=True, slots=True)
class BootMachine:
    """Ask the engine for the machine under its present fence."""


@dataclass(frozen=True, slots=True)
class StopMachine:
    """Stop the machine and keep its temporary disk."""


@dataclass(frozen=True, slots=True)
class RemoveMachine:
    """Remove the machine until the engine says there is nothing left."""


@dataclass(frozen=True, slots=True)
class Reboot:
    """The machine should run and does not: take the next fence and boot again."""

    reason: str


@dataclass(frozen=True, slots=True)
class Fail:
    """Record why it cannot be done; what was made is then removed."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Settle:
    """Record that the goal is reached (or, after a failure, that nothing is left over) and end the operations."""

    state: ResourceState


@dataclass(frozen=True, slots=True)
class Forget:
    """Nothing is left: remove the record."""


@dataclass(frozen=True, slots=True)
class Bury:
    """Leave the files, which somebody still uses, to the collector, and remove the record now."""


@dataclass(frozen=True, slots=True)
class Wait:
    """Something else must change first; `reason` in words for people."""

    reason: str


@dataclass(frozen=True, slots=True)
class Done:
    """Nothing to do."""


Step = (
    MakeFile | RemoveFile | Inspect | BootMachine | StopMachine | RemoveMachine | Reboot
    | Fail | Settle | Forget | Bury | Wait | Done
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class StartScript:
    """Begin to run a script; it is recorded as begun first."""

    operation: Operation


@dataclass(frozen=True, slots=True)
class FailScript:
    """A script that will not run, or whose outcome nobody knows."""

    operation: Operation
    code: str
    message: str


ScriptStep = StartScript | FailScript


def next_step(view: View) -> Step:
    """The one thing to do now."""
    resource = view.resource
    if resource.state is ResourceState.DELETING:
        return _deleting(view)
    if resource.type == MACHINES:
        return _machine(view)
    if resource.type in IMAGE_TYPES or resource.type in (DISKS, SNAPSHOTS):
        return _files(view)
    return Settle(ResourceState.SUCCEEDED) if resource.state in _CHANGING else Done()


def _deleting(view: View) -> Step:
    resource = view.resource
    if resource.type == GROUPS and view.left:
        return Wait(f"{view.left} resources of the group are still being deleted")
    if resource.type == ACCOUNTS and view.left:
        return Wait(f"{view.left} pools and jobs of the account are still being deleted")
    if resource.type in IMAGE_TYPES and view.left:
        if image_state(resource.inner).force:
            return Bury()
        return Wait(f"{view.left} pools still use the image")
    if resource.type == DISKS and view.held:
        return Wait("the machine that holds the disk is still being deleted")
    if resource.type == MACHINES and not machine_state(resource.inner).gone:
        return RemoveMachine()
    if view.files:
        return RemoveFile(view.files[0].name)
    return Forget()


def _files(view: View) -> Step:
    """Disks, snapshots and images: files made by recipes."""
    resource = view.resource
    leftover = next((row for row in view.files if row.state == "deleting"), None)
    if leftover is not None:
        return RemoveFile(leftover.name)
    if resource.state not in _CHANGING:
        return Done()
    if resource.error is not None:
        return RemoveFile(view.files[0].name) if view.files else Settle(ResourceState.FAILED)
    image = image_state(resource.inner) if resource.type in IMAGE_TYPES else None
    recipes = image.recipes if image is not None else (disk_state(resource.inner).recipe,)
    rows = {row.name: row for row in view.files}
    for recipe in recipes:
        row = rows.get(recipe.name)
        if row is None:
            return Fail("DiskRecordMissing", f"The record of the disk file '{recipe.name}' is missing.")
        if row.state == "making":
            return MakeFile(recipe)
    used_up = next((name for name in rows if image is None and name != recipes[0].name), None)
    if used_up is not None:  # what an uploaded disk was made from
        return RemoveFile(used_up)
    return _image_rest(image) if image is not None else Settle(ResourceState.SUCCEEDED)


def _image_rest(image: ImageState) -> Step:
    return Inspect(image.os_disk) if image.digest is None else Settle(ResourceState.SUCCEEDED)


def _machine(view: View) -> Step:
    resource = view.resource
    state = machine_state(resource.inner)
    if resource.state not in _CHANGING:
        return _watch(view, state)
    if resource.error is not None:
        undo = not state.made and not state.gone
        return RemoveMachine() if undo else Settle(ResourceState.FAILED)
    if state.want != "running":
        running = view.seen is not None and view.seen.state != "stopped"
        return StopMachine() if running else Settle(ResourceState.SUCCEEDED)
    return _towards_running(view, state)


def _towards_running(view: View, state: MachineState) -> Step:
    for attached in state.disks:
        disk = view.disks.get(attached.disk.lower())
        if disk is None:
            return Fail("DiskNotFound", f"The disk '{attached.disk}' does not exist.")
        if disk.state is ResourceState.CREATING or disk.state is ResourceState.UPDATING:
            return Wait(f"the disk {disk.name} is being made")
        if disk.state is not ResourceState.SUCCEEDED:
            code, why = disk.error or ("DiskNotUsable", f"its state is {disk.state}")
            return Fail(code, f"The disk '{disk.name}' could not be made: {why}")
    seen = view.seen
    if seen is None or seen.fence < state.fence or seen.state == "stopped":
        return BootMachine()
    if seen.state != "running":
        text = f"The machine did not come up: the engine says it is {seen.state}"
        return Fail("VMStartFailed", f"{text} ({seen.detail})." if seen.detail else f"{text}.")
    return Settle(ResourceState.SUCCEEDED)


def _watch(view: View, state: MachineState) -> Step:
    """A settled machine: if it should run and was lost (a restart of the host, say), it is booted again."""
    if view.resource.state is not ResourceState.SUCCEEDED or state.want != "running":
        return Done()
    if state.power != PowerState.RUNNING:
        return Done()
    seen = view.seen
    if seen is not None and seen.state == "running" and seen.fence == state.fence:
        return Done()
    what = "is gone" if seen is None else f"is {seen.state} (life {seen.fence} of {state.fence})"
    return Reboot(f"the machine {what} on its engine")


def script_steps(view: View) -> list[ScriptStep]:
    """What to do about run commands. A script that had begun and is not being run here is never run again."""
    if view.resource.type != MACHINES:
        return []
    state = machine_state(view.resource.inner)
    steps: list[ScriptStep] = []
    for operation in view.operations:
        if operation.verb != "runCommand" or operation.id in view.live:
            continue
        fence = json.loads(operation.request).get("fence")
        if operation.attempts:
            steps.append(
                FailScript(
                    operation,
                    "RunCommandOutcomeUnknown",
                    "The service was interrupted while the script ran. The script may have run in part or as a whole; "
                    "it is not run again by itself. Look at the machine, then decide.",
                )
            )
        elif view.resource.state is not ResourceState.SUCCEEDED or state.power != PowerState.RUNNING:
            text = f"The machine stopped running before the script was begun (power state {state.power})."
            steps.append(FailScript(operation, "VMNotRunning", text))
        elif fence != state.fence:
            text = "The machine was started anew before the script was begun; the script was not run."
            steps.append(FailScript(operation, "VMRestarted", text))
        else:
            steps.append(StartScript(operation))
    return steps
