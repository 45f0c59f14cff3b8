"""Polling of long-running operations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from starlette.responses import Response

from poolwright.api.arm.call import RETRY_AFTER_S, Call, answer, empty
from poolwright.api.arm.router import ArmRoute, in_group
from poolwright.api.auth import permission
from poolwright.domain.errors import ManagementError
from poolwright.domain.resource import Operation, Resource
from poolwright.domain.resource_id import ACCOUNTS
from poolwright.store.base import Tx
from poolwright.wire.arm import compute_out, gallery_out
from poolwright.wire.arm import operations as wire


@dataclass(frozen=True, slots=True)
class _Followed:
    operation: Operation
    resource: Resource | None


async def _find(call: Call) -> _Followed:
    def query(tx: Tx) -> _Followed | None:
        operation = tx.resources.operation(call.params["operation"])
        return None if operation is None else _Followed(operation, tx.resources.get(operation.resource))

    found = await call.read(query)
    if found is None:
        text = f"The operation '{call.params['operation'][:100]}' does not exist, or its outcome is no longer kept."
        raise ManagementError(404, "OperationNotFound", text)
    return found


def _output(found: _Followed) -> Any:
    """What the operation answers once it has succeeded: a run command its outputs, a creation its resource."""
    operation = found.operation
    if operation.verb == "runCommand":
        return compute_out.run_result(operation.result) if operation.result is not None else None
    if operation.verb == "create" and found.resource is not None:
        type = found.resource.type
        render = compute_out.SIMPLE.get(type) or gallery_out.RENDER.get(type)
        return render(found.resource) if render is not None else None
    return None


async def compute(call: Call) -> Response:
    """The status of an operation; with `monitor=true` its result instead."""
    found = await _find(call)
    if call.query.get("monitor", "").lower() == "true":
        return _result(call, found)
    operation = found.operation
    output = _output(found) if operation.verb == "runCommand" and operation.status == "Succeeded" else None
    headers = {"Retry-After": RETRY_AFTER_S} if operation.status == "InProgress" else {}
    return answer(wire.status(operation, output), headers=headers)


async def result(call: Call) -> Response:
    """202 until the operation has ended, then its result or its error."""
    return _result(call, await _find(call))


def _result(call: Call, found: _Followed) -> Response:
    operation = found.operation
    if operation.status == "InProgress":
        query = "&".join(
            f"{name}={value}" for name, value in call.query.items() if name in ("api-version", "monitor")
        )
        location = f"{call.url}{call.path}?{query}"
        return empty(202, {"Location": location, "Retry-After": RETRY_AFTER_S})
    if operation.status != "Succeeded":
        code, message = operation.error or ("OperationFailed", "The operation failed.")
        # 4xx: the clients would take a 5xx for a hiccup and ask again.
        raise ManagementError(409, code, message)
    output = _output(found)
    return empty(200) if output is None else answer(output)


_SUB = "/subscriptions/{subscription}"
_COMPUTE = f"{_SUB}/providers/Microsoft.Compute/locations/{{location}}/operations/{{operation}}"
_ACCOUNT = f"{in_group(ACCOUNTS)}/{{name}}/operationResults/{{operation}}"
ROUTES = (
    ArmRoute("GET", _COMPUTE, permission("Microsoft.Compute/locations/operations/read"), compute),
    ArmRoute("GET", _ACCOUNT, permission(f"{ACCOUNTS}/operationResults/read"), result),
    ArmRoute(
        "GET",
        f"{_SUB}/operationresults/{{operation}}",
        permission("Microsoft.Resources/subscriptions/operationresults/read"),
        result,
    ),
)
