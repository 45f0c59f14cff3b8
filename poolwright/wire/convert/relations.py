"""What a task says of other tasks and of its job: dependencies and exit conditions."""

from __future__ import annotations

from typing import Any

from poolwright.domain.dependencies import Dependencies, merged
from poolwright.domain.errors import bad_property
from poolwright.domain.exits import ExitConditions, ExitOptions
from poolwright.wire.generated import batch_models as models


def read_dependencies(given: models.BatchTaskDependencies) -> Dependencies | None:
    """The tasks to wait for, or None where nothing is named. Raises InvalidPropertyValue."""
    ids = tuple(given.task_ids or ())
    ranges = []
    for index, item in enumerate(given.task_id_ranges or ()):
        if not 0 <= item.start <= item.end:
            reason = "The first number of a range is not negative and not greater than the last."
            raise bad_property(f"dependsOn.taskIdRanges[{index}]", f"{item.start}..{item.end}", reason)
        ranges.append((item.start, item.end))
    return Dependencies(ids, merged(ranges)) if ids or ranges else None


def read_exit_conditions(given: models.ExitConditions) -> ExitConditions:
    """The conditions in domain terms. Raises InvalidPropertyValue."""
    ranges = []
    for index, item in enumerate(given.exit_code_ranges or ()):
        if item.start > item.end:
            reason = "The first code of a range is not greater than the last."
            raise bad_property(f"exitConditions.exitCodeRanges[{index}]", f"{item.start}..{item.end}", reason)
        ranges.append((item.start, item.end, _options(item.exit_options)))
    return ExitConditions(
        codes=tuple((item.code, _options(item.exit_options)) for item in given.exit_codes or ()),
        ranges=tuple(ranges),
        pre_processing=_maybe(given.pre_processing_error),
        file_upload=_maybe(given.file_upload_error),
        default=_maybe(given.default),
    )


def read_token_access(given: Any, name: str = "authenticationTokenSettings") -> bool:
    """Whether the task is given a token for its own job (api-versions before 2025). Raises InvalidPropertyValue."""
    access = given.get("access", []) if isinstance(given, dict) and not set(given) - {"access"} else None
    if not isinstance(access, list) or any(str(scope).lower() != "job" for scope in access):
        raise bad_property(
            name, given, 'An object whose access is a list of scopes; the only scope is "job".'
        )
    return bool(access)


def _maybe(given: models.ExitOptions | None) -> ExitOptions | None:
    return None if given is None else _options(given)


def _options(given: models.ExitOptions) -> ExitOptions:
    return ExitOptions(
        given.job_action.value if given.job_action else None,
        given.dependency_action.value if given.dependency_action else None,
    )
