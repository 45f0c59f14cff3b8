"""Tokens of tasks: whether the execution that brings one may still speak for its job."""

from __future__ import annotations

from poolwright.api.auth import AuthError, Principal
from poolwright.domain.clock import MINUTE, Instant, Micros
from poolwright.domain.states import TaskState
from poolwright.domain.task import parse_execution
from poolwright.store.base import Tx

#: A token counts this long after its task has ended, so that what it began comes to an end.
AFTER_END: Micros = 5 * MINUTE


def check_task_token(tx: Tx, principal: Principal, now: Instant) -> None:
    """Raises AuthError (401) unless the execution is the present one of its task and runs, or ended just now."""
    parsed = parse_execution(principal.name)
    task = tx.tasks.by_pks([parsed[0]]).get(parsed[0]) if parsed is not None else None
    if task is not None and parsed is not None and task.attempt == parsed[1]:
        runs = task.state in (TaskState.PREPARING, TaskState.RUNNING)
        if runs or (task.ended_at is not None and now < task.ended_at + AFTER_END):
            return
    raise AuthError(401, "AuthenticationFailed", "The task this token was made for has ended.")
