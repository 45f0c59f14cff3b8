"""Microsoft.Batch batchAccounts/pools: bodies to what the data plane reads, stored pools to answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from poolwright.domain.clock import etag
from poolwright.domain.errors import ManagementError, ServiceError
from poolwright.domain.pool import Pool
from poolwright.domain.states import AllocationState, PoolState
from poolwright.wire.arm.pool_shape import Json, to_data_plane, to_management
from poolwright.wire.convert.pool import show_pool
from poolwright.wire.durations import format_duration
from poolwright.wire.links import Links
from poolwright.wire.secrets import without_secrets
from poolwright.wire.times import iso

TYPE = "Microsoft.Batch/batchAccounts/pools"
_MACHINE = "virtualMachineConfiguration"
_DEPLOYMENT = f"deploymentConfiguration.{_MACHINE}"
#: Properties that go by the same name on both sides.
_SAME = (
    "displayName",
    "vmSize",
    "networkConfiguration",
    "taskSlotsPerNode",
    "taskSchedulingPolicy",
    "userAccounts",
    "metadata",
    "startTask",
    "mountConfiguration",
    "upgradePolicy",
    "targetNodeCommunicationMode",
    "applicationLicenses",
)
_OWN = frozenset(
    {"deploymentConfiguration", "scaleSettings", "interNodeCommunication", "applicationPackages"}
)
#: What an answer holds may be sent back and says nothing.
_READ_ONLY = frozenset(
    {
        "lastModified",
        "creationTime",
        "provisioningState",
        "provisioningStateTransitionTime",
        "allocationState",
        "allocationStateTransitionTime",
        "currentDedicatedNodes",
        "currentLowPriorityNodes",
        "currentNodeCommunicationMode",
        "autoScaleRun",
        "resizeOperationStatus",
    }
)
_ELSEWHERE = {
    "certificates": "Certificates, and pools that refer to them, are made through the data plane.",
    "resourceTags": "Machines of nodes are no resources of this subscription; use metadata.",
}
#: Where a property of the data plane stands in a management body.
_PLACES = {
    "targetDedicatedNodes": "scaleSettings.fixedScale.targetDedicatedNodes",
    "targetLowPriorityNodes": "scaleSettings.fixedScale.targetLowPriorityNodes",
    "resizeTimeout": "scaleSettings.fixedScale.resizeTimeout",
    "autoScaleFormula": "scaleSettings.autoScale.formula",
    "autoScaleEvaluationInterval": "scaleSettings.autoScale.evaluationInterval",
    "applicationPackageReferences": "applicationPackages",
    "enableInterNodeCommunication": "interNodeCommunication",
}


@dataclass(frozen=True, slots=True)
class PoolBody:
    """What a body asks for, as bodies of the data plane: the pool itself, and its size (a resize, or a formula)."""

    pool: Json
    resize: Json | None = None
    formula: Json | None = None


def read(raw: bytes) -> PoolBody:
    """A body of PUT or PATCH. Raises ManagementError (400) naming what is not in force or has no such form."""
    try:
        body = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        body = None
    if not isinstance(body, dict):
        raise ManagementError(400, "InvalidRequestContent", "The request content is not a JSON object.")
    _refuse_identity(body.get("identity"))
    if body.get("tags"):
        raise ManagementError(400, "InvalidParameter", "Pools keep no tags here; use metadata.", "tags")
    properties = _object(body.get("properties"), "properties")
    for name, given in properties.items():
        if given not in (None, []) and name not in _OWN | _READ_ONLY | set(_SAME):
            raise _invalid(name, given, _ELSEWHERE.get(name, "There is no property of this name here."))
    pool = {name: to_data_plane(properties[name], name) for name in _SAME if properties.get(name) is not None}
    deployment = _object(properties.get("deploymentConfiguration"), "properties.deploymentConfiguration")
    for name, given in deployment.items():
        if name != _MACHINE:
            raise _invalid(f"deploymentConfiguration.{name}", given, "Pools here are made of machine images.")
        pool[_MACHINE] = to_data_plane(given)
    if properties.get("interNodeCommunication") is not None:
        pool["enableInterNodeCommunication"] = _enabled(properties["interNodeCommunication"])
    if properties.get("applicationPackages") is not None:
        pool["applicationPackageReferences"] = _packages(properties["applicationPackages"])
    scale = _object(properties.get("scaleSettings"), "properties.scaleSettings")
    fixed, formula = scale.get("fixedScale"), scale.get("autoScale")
    if fixed is not None and formula is not None:
        raise _invalid("scaleSettings", "both", "Give either fixedScale or autoScale, not both.")
    return PoolBody(
        pool,
        None if fixed is None else _object(fixed, "properties.scaleSettings.fixedScale"),
        None if formula is None else _formula(_object(formula, "properties.scaleSettings.autoScale")),
    )


def new_pool(name: str, body: PoolBody) -> bytes:
    """The create-pool body of the data plane. Without scale settings a pool has no nodes (public rule)."""
    size: Json
    if body.formula is not None:
        size = {"enableAutoScale": True, **body.formula}
    else:
        size = {key: value for key, value in (body.resize or {}).items() if key != "nodeDeallocationOption"}
        if not {"targetDedicatedNodes", "targetLowPriorityNodes"} & set(size):
            size["targetDedicatedNodes"] = 0
    return msgspec.json.encode({**body.pool, **size, "id": name})


def _formula(given: Json) -> Json:
    names = {"formula": "autoScaleFormula", "evaluationInterval": "autoScaleEvaluationInterval"}
    for name, value in given.items():
        if name not in names:
            raise _invalid(
                f"scaleSettings.autoScale.{name}", value, "There is no property of this name here."
            )
    return {names[name]: value for name, value in given.items() if value is not None}


def _refuse_identity(given: Any) -> None:
    if isinstance(given, dict) and str(given.get("type", "None")).lower() != "none":
        text = "Nodes have no managed identity here; give storage and registries by signatures and passwords."
        raise ManagementError(400, "InvalidParameter", text, "identity")


def _object(given: Any, name: str) -> Json:
    if given is None:
        return {}
    if not isinstance(given, dict):
        text = f"The value '{str(given)[:100]}' of '{name}' is not valid: an object is needed."
        raise ManagementError(400, "InvalidParameter", text, name)
    return given


def _enabled(given: Any) -> bool:
    if str(given).lower() not in ("enabled", "disabled"):
        raise _invalid("interNodeCommunication", given, "The values are Enabled, Disabled.")
    return bool(str(given).lower() == "enabled")


def _packages(given: Any) -> list[Json]:
    """References name the application by its resource id, of which the last part counts."""
    made = []
    for item in given if isinstance(given, list) else [given]:
        id = item.get("id") if isinstance(item, dict) else None
        if not isinstance(id, str):
            raise _invalid("applicationPackages", item, "Each has the id of an application.")
        version = item.get("version")
        named = {"applicationId": id.rstrip("/").rpartition("/")[2]}
        made.append(named if version is None else {**named, "version": version})
    return made


def _invalid(path: str, value: Any, reason: str) -> ManagementError:
    text = f"The value '{str(value)[:100]}' of 'properties.{path}' is not valid: {reason}"
    return ManagementError(400, "InvalidParameter", text, f"properties.{path}")


def told(error: ServiceError) -> ManagementError:
    """A refusal of the data plane as management callers read it: the property is that of their body."""
    values, target = [], None
    for key, value in error.values:
        shown = value
        if key == "PropertyName":
            shown = target = f"properties.{_place(value)}"
        values.append(f"{key}: {shown}")
    text = error.message if not values else f"{error.message} {'; '.join(values)}"
    return ManagementError(error.status, error.code, text, target)


def _place(name: str) -> str:
    head, dot, rest = name.partition(".")
    if head == _MACHINE:
        return f"{_DEPLOYMENT}{dot}{rest}".replace("virtualMachineImageId", "id")
    word, bracket, index = head.partition("[")
    return f"{_PLACES.get(word, word)}{bracket}{index}{dot}{rest}"


def shown(pool: Pool, current: tuple[int, int], account_id: str) -> Json:
    """A pool as answered. `account_id` is the resource id of its account."""
    document = show_pool(pool, current, Links(""))
    properties: Json = {name: to_management(document[name], name) for name in _SAME if name in document}
    properties["vmSize"] = pool.spec.vm_size.upper()  # as recorded of the public service
    properties["deploymentConfiguration"] = {_MACHINE: to_management(document[_MACHINE])}
    properties["interNodeCommunication"] = "Enabled" if pool.spec.inter_node else "Disabled"
    properties["provisioningState"] = "Deleting" if pool.state is PoolState.DELETING else "Succeeded"
    properties["provisioningStateTransitionTime"] = document["stateTransitionTime"]
    properties["allocationState"] = pool.allocation.value.capitalize()
    for name in ("lastModified", "creationTime", "allocationStateTransitionTime"):
        properties[name] = document[name]
    properties["currentDedicatedNodes"], properties["currentLowPriorityNodes"] = current
    properties["scaleSettings"] = _shown_scale(pool, document)
    if "autoScaleRun" in document:
        properties["autoScaleRun"] = _shown_run(document["autoScaleRun"])
    if pool.allocation is not AllocationState.STEADY or "resizeErrors" in document:
        properties["resizeOperationStatus"] = _shown_resize(pool, document)
    packages = document.get("applicationPackageReferences")
    if packages:
        properties["applicationPackages"] = [_shown_package(one, account_id) for one in packages]
    return {
        "id": f"{account_id}/pools/{pool.id}",
        "name": pool.id,
        "type": TYPE,
        "etag": f'W/"{etag(pool.modified_at)}"',
        "properties": without_secrets(properties),
    }


def _shown_scale(pool: Pool, document: Json) -> Json:
    if pool.autoscaled:
        formula, interval = document["autoScaleFormula"], document["autoScaleEvaluationInterval"]
        return {"autoScale": {"formula": formula, "evaluationInterval": interval}}
    return {
        "fixedScale": {
            "targetDedicatedNodes": pool.target_dedicated,
            "targetLowPriorityNodes": pool.target_low_priority,
            "resizeTimeout": document["resizeTimeout"],
        }
    }


def _shown_run(run: Json) -> Json:
    made = {"evaluationTime": run["timestamp"], "results": run["results"]}
    return {**made, "error": _shown_error(run["error"])} if "error" in run else made


def _shown_resize(pool: Pool, document: Json) -> Json:
    made: Json = {
        "targetDedicatedNodes": pool.target_dedicated,
        "targetLowPriorityNodes": pool.target_low_priority,
        "resizeTimeout": format_duration(pool.resize.timeout),
        "startTime": iso(pool.resize.started_at),
    }
    if "resizeErrors" in document:
        made["errors"] = [_shown_error(error) for error in document["resizeErrors"]]
    return made


def _shown_error(error: Json) -> Json:
    """An error whose named values are details here."""
    values = error.get("values", [])
    details = [{"code": value["name"], "message": value["value"]} for value in values]
    made = {"code": error["code"], "message": error["message"]}
    return {**made, "details": details} if details else made


def _shown_package(reference: Json, account_id: str) -> Json:
    made = {"id": f"{account_id}/applications/{reference['applicationId']}"}
    return {**made, "version": reference["version"]} if reference.get("version") else made
