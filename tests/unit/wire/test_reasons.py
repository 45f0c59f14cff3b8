"""Refused bodies tell what was needed, in words of the caller, and which values there are."""

from __future__ import annotations

import pytest

from poolwright.domain.errors import ServiceError
from poolwright.wire.bodies import decode_body
from poolwright.wire.generated import batch_models as models

JOB = b'{"id": "j", "poolInfo": {"poolId": "p"}, %s}'
TASK = b'{"value": [{"id": "t", "commandLine": "x", %s}]}'


def refused(raw: bytes, kind: type[object]) -> dict[str, str]:
    with pytest.raises(ServiceError) as caught:
        decode_body(raw, kind)
    return dict(caught.value.values)


@pytest.mark.parametrize(
    ("part", "name", "reason"),
    [
        (b'"onAllTasksComplete": "later"', "onAllTasksComplete", "The values are noaction, terminatejob"),
        (b'"priority": "5x"', "priority", "A whole number is needed, not a string."),
        (b'"priority": true', "priority", "A whole number is needed, not true or false."),
        (b'"priority": 2147483648', "priority", "A whole number, at most 2147483647, is needed."),
        (b'"metadata": {}', "metadata", "A list is needed, not an object."),
        (
            b'"usesTaskDependencies": 7',
            "usesTaskDependencies",
            "True or false is needed, not a whole number.",
        ),
    ],
)
def test_of_a_job(part: bytes, name: str, reason: str) -> None:
    values = refused(JOB % part, models.BatchJobCreateOptions)
    assert values["PropertyName"] == name
    assert values["Reason"].startswith(reason)


@pytest.mark.parametrize(
    ("part", "values"),
    [
        (b'"userIdentity": {"autoUser": {"scope": "all"}}', "The values are task, pool."),
        (
            b'"outputFiles": [{"filePattern": "*", "destination": {}, "uploadOptions": {"uploadCondition": "no"}}]',
            "The values are tasksuccess, taskfailure, taskcompletion.",
        ),
        (b'"exitConditions": {"default": {"jobAction": "x"}}', "The values are none, disable, terminate."),
    ],
)
def test_values_are_told_wherever_they_are(part: bytes, values: str) -> None:
    assert refused(TASK % part, models.BatchTaskGroup)["Reason"] == values


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "The body is empty; a JSON object is needed."),
        (b" \n", "The body is empty; a JSON object is needed."),
        (b'{"id": ', "The JSON ends too early."),
        (b"[]", "An object is needed, not a list."),
    ],
)
def test_of_no_json_object(raw: bytes, reason: str) -> None:
    assert refused(raw, models.BatchJobCreateOptions) == {"Reason": reason}
