"""What an end means for job and dependents, by the public lookup order."""

from __future__ import annotations

import pytest

from poolwright.domain.exits import ExitConditions, ExitOptions
from poolwright.domain.node import Failure
from poolwright.domain.states import JobState, TaskState
from poolwright.domain.task_ends import job_action, job_after, satisfies
from tests.unit.decide.parts import NOW, job, task

_CONDITIONS = ExitConditions(
    codes=((2, ExitOptions("disable", "satisfy")),),
    ranges=((1, 5, ExitOptions("none")), (5, 9, ExitOptions("terminate", "satisfy"))),
    pre_processing=ExitOptions("disable"),
    file_upload=ExitOptions("none", "satisfy"),
    default=ExitOptions("none"),
)


@pytest.mark.parametrize(
    ("exit_code", "failure", "conditions", "action", "satisfied"),
    [
        (0, None, None, "none", True),
        (1, "FailureExitCode", None, "terminate", False),
        (None, "TaskEnded", None, "terminate", False),
        (0, None, _CONDITIONS, "none", True),
        (2, "FailureExitCode", _CONDITIONS, "disable", True),
        (5, "FailureExitCode", _CONDITIONS, "none", False),
        (7, "FailureExitCode", _CONDITIONS, "terminate", True),
        (70, "FailureExitCode", _CONDITIONS, "none", False),
        (None, "CommandProgramNotFound", _CONDITIONS, "disable", False),
        (2, "FileUploadConflict", _CONDITIONS, "disable", True),
        (0, "FileUploadConflict", _CONDITIONS, "none", True),
        (None, "DependencyFailed", ExitConditions(default=ExitOptions(None, "satisfy")), "terminate", False),
    ],
)
def test_the_first_that_matches_decides(
    exit_code: int | None,
    failure: str | None,
    conditions: ExitConditions | None,
    action: str,
    satisfied: bool,
) -> None:
    ended = task(
        TaskState.COMPLETED,
        exit_code=exit_code,
        failure=None if failure is None else Failure("usererror", failure, "m"),
        exit_conditions=conditions,
    )
    assert (job_action(ended), satisfies(ended)) == (action, satisfied)


def test_only_an_active_job_that_performs_actions_is_moved() -> None:
    failed = task(TaskState.COMPLETED, exit_code=1, failure=Failure("usererror", "FailureExitCode", "m"))
    assert job_after(job(), failed, NOW) is None
    performs = job(on_task_failure="performexitoptionsjobaction")
    ending = job_after(performs, failed, NOW)
    assert ending is not None
    assert (ending.state, ending.terminate_reason) == (JobState.TERMINATING, "TaskFailed")
    assert ending.modified_at > performs.modified_at
    assert job_after(ending, failed, NOW) is None
