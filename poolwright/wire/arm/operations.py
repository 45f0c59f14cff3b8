"""Long-running operations as polled."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from poolwright.domain.resource import Operation
from poolwright.wire.arm.times import shown


def status(operation: Operation, output: Any = None) -> dict[str, Any]:
    """The body behind `Azure-AsyncOperation`. `output` is what a finished operation answers, if anything."""
    answer: dict[str, Any] = {
        "startTime": shown(operation.started_at),
        "status": operation.status,
        "name": operation.id,
    }
    if operation.ended_at is not None:
        answer["endTime"] = shown(operation.ended_at)
    if operation.status == "InProgress" and operation.result is not None:
        progress = json.loads(operation.result)
        if progress["fraction"]:
            answer["percentComplete"] = round(100.0 * progress["fraction"], 1)
        answer["properties"] = {"progress": progress["stage"]}
    if operation.status == "Succeeded" and output is not None:
        answer["properties"] = {"output": output}
    if operation.error is not None:
        answer["error"] = {"code": operation.error[0], "message": operation.error[1]}
    return answer


def error(
    code: str, message: str, target: str | None = None, details: Sequence[tuple[str, str, str]] = ()
) -> dict[str, Any]:
    """Resource Manager's error body. `details` are (code, target, message)."""
    body: dict[str, Any] = {"code": code, "message": message}
    if target is not None:
        body["target"] = target
    if details:
        body["details"] = [{"code": part, "target": about, "message": text} for part, about, text in details]
    return {"error": body}
