"""Microsoft.Compute virtualMachines."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.responses import Response

from poolwright.api.arm.call import Call, answer, compute_polling, empty, listed, tagged
from poolwright.api.arm.router import ArmRoute, Handler, in_group
from poolwright.api.auth import permission
from poolwright.commands import resources, vm_actions, vms
from poolwright.commands.resources import Accepted, Outline
from poolwright.domain.compute import machine_state
from poolwright.domain.errors import ManagementError
from poolwright.domain.resource import Operation, Resource
from poolwright.domain.resource_id import MACHINES
from poolwright.store.base import Tx
from poolwright.wire.arm import compute_out
from poolwright.wire.arm.compute_in import machine_document, machine_spec
from poolwright.wire.arm.compute_models import MachineBody, MachinePatchBody, RunCommandBody
from poolwright.wire.arm.decode import tags
from poolwright.wire.arm.marketplace import sizes


@dataclass(frozen=True, slots=True)
class _Whole:
    """A machine with what its answer is put together from."""

    machine: Resource
    disks: dict[str, Resource]
    operations: list[Operation]


def _whole(tx: Tx, machine: Resource) -> _Whole:
    keys = [attached.disk.lower() for attached in machine_state(machine.inner).disks]
    found = (tx.resources.get(key) for key in keys)
    disks = {disk.key: disk for disk in found if disk is not None}
    return _Whole(machine, disks, resources.operations_of(tx, machine.key))


def _shown(whole: _Whole, with_view: bool = False) -> dict[str, object]:
    return compute_out.machine(whole.machine, whole.disks, whole.operations, with_view)


async def put(call: Call) -> Response:
    """201 with the machine in Creating, or 200 for one that exists."""
    body = call.decode(MachineBody)
    id = call.id(MACHINES)
    outline = Outline(body.location, tags(body.tags), document=machine_document(body))
    spec = machine_spec(body)

    def command(tx: Tx) -> tuple[Accepted, _Whole]:
        call.check_conditions(tx.resources.get(id.key))
        made = vms.put(tx, call.context, id, outline, spec, call.services.catalogue)
        return made, _whole(tx, made.resource)

    made, whole = await call.write(command)
    if made.operation is None:
        return tagged(_shown(whole), made.resource)
    return answer(_shown(whole), 201, compute_polling(call, made.operation))


async def get(call: Call) -> Response:
    """One machine; with `$expand=instanceView` its run-time state too."""
    whole = await call.read(lambda tx: _whole(tx, resources.get(tx, call.id(MACHINES))))
    expand = call.query.get("$expand", "").lower()
    if expand not in ("", "instanceview", "userdata"):
        text = f"The value '{expand[:50]}' of '$expand' is not valid: it must be instanceView or userData."
        raise ManagementError(400, "InvalidParameter", text, "$expand")
    return tagged(_shown(whole, expand == "instanceview"), whole.machine)


async def instance_view(call: Call) -> Response:
    """The run-time state."""
    whole = await call.read(lambda tx: _whole(tx, resources.get(tx, call.id(MACHINES))))
    return answer(compute_out.instance_view(whole.machine, whole.disks, whole.operations))


async def list_all(call: Call) -> Response:
    """Machines of the subscription or of a group."""
    group = call.params.get("group")

    def query(tx: Tx) -> list[_Whole]:
        found = resources.select(tx, call.subscription, group, MACHINES)
        return [_whole(tx, machine) for machine in found]

    with_view = (
        call.query.get("$expand", "").lower() == "instanceview" or call.query.get("statusonly") == "true"
    )
    return listed([_shown(whole, with_view) for whole in await call.read(query)])


async def patch(call: Call) -> Response:
    """Tags and, of a stopped machine, the size."""
    body = call.decode(MachinePatchBody)
    changed = tags(body.tags) if body.tags is not None else None
    hardware = body.properties.hardware_profile if body.properties is not None else None
    size = hardware.vm_size if hardware is not None else None

    def command(tx: Tx) -> _Whole:
        call.check_conditions(resources.get(tx, call.id(MACHINES)))
        return _whole(tx, vms.patch(tx, call.context, call.id(MACHINES), changed, size))

    whole = await call.write(command)
    return tagged(_shown(whole), whole.machine)


async def delete(call: Call) -> Response:
    """202, or 204 when there is none."""
    call.flag("forceDeletion")
    gone = await call.write(lambda tx: vms.delete(tx, call.context, call.id(MACHINES)))
    if gone is None or gone.operation is None:
        return empty(204)
    return empty(202, compute_polling(call, gone.operation))


def _power(verb: str) -> Handler:
    async def power(call: Call) -> Response:
        done = await call.write(lambda tx: vm_actions.power(tx, call.context, call.id(MACHINES), verb))
        if done.operation is None:
            return empty(200)
        return empty(202, compute_polling(call, done.operation))

    return power


async def generalize(call: Call) -> Response:
    """200 and done; the clients take nothing else."""
    await call.write(lambda tx: vm_actions.generalize(tx, call.context, call.id(MACHINES)))
    return empty(200)


async def run_command(call: Call) -> Response:
    """202; the result is behind Location."""
    body = call.decode(RunCommandBody)
    parameters = [(parameter.name, parameter.value) for parameter in body.parameters]
    started = await call.write(
        lambda tx: vm_actions.run_command(
            tx, call.context, call.id(MACHINES), body.command_id, body.script, parameters
        )
    )
    assert started.operation is not None
    return empty(202, compute_polling(call, started.operation))


async def available_sizes(call: Call) -> Response:
    """Sizes the machine could have."""
    await call.read(lambda tx: resources.get(tx, call.id(MACHINES)))
    return listed(sizes())


_GROUP = in_group(MACHINES)
_ONE = f"{_GROUP}/{{name}}"
_READ = permission(f"{MACHINES}/read")
_WRITE = permission(f"{MACHINES}/write")
ROUTES = (
    ArmRoute("GET", f"/subscriptions/{{subscription}}/providers/{MACHINES}", _READ, list_all),
    ArmRoute("GET", _GROUP, _READ, list_all),
    ArmRoute("GET", _ONE, _READ, get),
    ArmRoute("GET", f"{_ONE}/instanceView", permission(f"{MACHINES}/instanceView/read"), instance_view),
    ArmRoute("GET", f"{_ONE}/vmSizes", permission(f"{MACHINES}/vmSizes/read"), available_sizes),
    ArmRoute("PUT", _ONE, _WRITE, put),
    ArmRoute("PATCH", _ONE, _WRITE, patch),
    ArmRoute("DELETE", _ONE, permission(f"{MACHINES}/delete"), delete),
    *(
        ArmRoute("POST", f"{_ONE}/{verb}", permission(f"{MACHINES}/{verb}/action"), _power(verb))
        for verb in ("start", "powerOff", "restart", "deallocate")
    ),
    ArmRoute("POST", f"{_ONE}/generalize", permission(f"{MACHINES}/generalize/action"), generalize),
    ArmRoute("POST", f"{_ONE}/runCommand", permission(f"{MACHINES}/runCommand/action"), run_command),
)
