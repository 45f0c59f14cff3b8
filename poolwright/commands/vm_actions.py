"""What is done with a virtual machine: power, generalize, run a script."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from dataclasses import replace

from poolwright.commands import resources
from poolwright.commands.context import Context
from poolwright.commands.resources import Accepted, bad, conflict
from poolwright.domain.compute import MachineState, dump, machine_state
from poolwright.domain.resource import Resource
from poolwright.domain.resource_id import ResourceId
from poolwright.domain.states import PowerState, ResourceState
from poolwright.store.base import Tx

SCRIPT_BYTES_MAX = 256 * 1024  # as published for scripts given in the request
RUN_TIMEOUT_S = 5400.0  # the public service stops a run command after 90 minutes
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")

_WANT = {"start": "running", "restart": "running", "powerOff": "stopped", "deallocate": "deallocated"}


def power(tx: Tx, ctx: Context, id: ResourceId, verb: str) -> Accepted:
    """Begin to start, restart, powerOff or deallocate. 409 while another operation is under way.

    The operation is None when the machine is in the wanted power state already.
    """
    machine = resources.get(tx, id)
    state = machine_state(machine.inner)
    same = next((op for op in resources.operations_of(tx, machine.key) if op.verb == verb), None)
    if same is not None and machine.state is ResourceState.UPDATING:
        return Accepted(machine, operation=same)
    _check_free(tx, machine)
    if not state.made and machine.state is ResourceState.FAILED:
        raise conflict(f"'{machine.id}' was never made ({_why(machine)}); make it again or delete it.")
    want = _WANT[verb]
    if want == "running":
        _check_may_run(tx, machine, state)
    if verb == "restart" and state.power != PowerState.RUNNING:
        raise conflict(f"'{machine.id}' is {state.power}; only a running machine can be restarted.")
    if verb != "restart" and machine.state is ResourceState.SUCCEEDED and state.power == want:
        return Accepted(machine)
    if verb == "powerOff" and state.power == PowerState.DEALLOCATED:
        return Accepted(machine)
    fence = state.fence + 1 if want == "running" else state.fence
    changed = replace(state, want=want, fence=fence)
    moved = resources.move(tx, ctx, machine, ResourceState.UPDATING, changed)
    return Accepted(moved, operation=resources.start_operation(tx, ctx, moved, verb))


def _check_free(tx: Tx, machine: Resource) -> None:
    resources.check_not_busy(machine)
    under_way = resources.operations_of(tx, machine.key)
    if under_way and under_way[0].verb != "runCommand":
        raise conflict(
            f"The operation '{under_way[0].verb}' on '{machine.id}' is in progress; wait for it to end."
        )


def _why(machine: Resource) -> str:
    return ": ".join(machine.error) if machine.error else machine.state.value


def _check_may_run(tx: Tx, machine: Resource, state: MachineState) -> None:
    if state.generalized:
        raise conflict(
            f"The virtual machine '{machine.id}' has been generalized; it can no longer be started. "
            "Make an image of it and new machines from the image."
        )
    for attached in state.disks:
        disk = tx.resources.get(attached.disk.lower())
        if disk is None:
            raise conflict(f"The disk '{attached.disk}' of '{machine.id}' no longer exists.")
        # A running machine writes its disks, so nothing may be in the middle of copying them.
        resources.check_readers(tx, disk, f"start '{machine.name}'")
    resources.check_readers(tx, machine, "start it")


def generalize(tx: Tx, ctx: Context, id: ResourceId) -> Resource:
    """Mark a stopped machine as prepared for being copied. It can never be started again."""
    machine = resources.get(tx, id)
    state = machine_state(machine.inner)
    _check_free(tx, machine)
    if state.power not in (PowerState.STOPPED, PowerState.DEALLOCATED):
        raise conflict(
            f"The virtual machine '{machine.id}' is {state.power}; it must be stopped or deallocated before it can "
            "be generalized."
        )
    if state.generalized:
        return machine
    resources.record(tx, ctx, machine.key, "resource.generalize")
    inner = dump(replace(state, generalized=True))
    return tx.resources.update(replace(machine, inner=inner, modified_at=ctx.now))


def run_command(
    tx: Tx,
    ctx: Context,
    id: ResourceId,
    command: str,
    script: Sequence[str] | None,
    parameters: Sequence[tuple[str, str]] = (),
) -> Accepted:
    """Begin to run a script in a running machine. It is run at most once, whatever happens.

    Only `RunShellScript` is known; parameters become shell variables, as in the public service. 409 unless the
    machine runs and no other script does.
    """
    machine = resources.get(tx, id)
    if command.lower() != "runshellscript":
        raise bad("commandId", command, "RunShellScript is the only command of Linux machines here.")
    if not script:
        raise bad("script", "null", "RunShellScript needs at least one line of script.")
    lines = [*_assignments(parameters), *script]
    size = sum(len(line.encode()) + 1 for line in lines)
    if size > SCRIPT_BYTES_MAX:
        raise bad("script", f"{size} bytes", f"A script has at most {SCRIPT_BYTES_MAX} bytes.")
    state = machine_state(machine.inner)
    _check_free(tx, machine)
    if resources.operations_of(tx, machine.key):
        raise conflict(
            f"A run command is in progress on '{machine.id}'; wait for it to end before starting another.",
            "Conflict",
        )
    if state.power != PowerState.RUNNING:
        raise conflict(
            f"Cannot run a command on '{machine.id}': its power state is {state.power}, not running."
        )
    request = {"script": lines, "timeout_s": RUN_TIMEOUT_S, "fence": state.fence}
    return Accepted(machine, operation=resources.start_operation(tx, ctx, machine, "runCommand", request))


def _assignments(parameters: Sequence[tuple[str, str]]) -> list[str]:
    lines = []
    for index, (name, value) in enumerate(parameters):
        if _VARIABLE.match(name) is None:
            raise bad(f"parameters[{index}].name", name, "It must be usable as the name of a shell variable.")
        if "\0" in value:
            raise bad(f"parameters[{index}].value", "...", "It holds a zero byte.")
        lines.append(f"export {name}={shlex.quote(value)}")
    return lines
