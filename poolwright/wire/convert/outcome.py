"""How a run went, in the members that tasks, subtasks and the tasks beside them have in common."""

from __future__ import annotations

from typing import Protocol

from poolwright.domain.clock import Instant
from poolwright.domain.node import Failure
from poolwright.domain.states import ExecutionResult
from poolwright.wire.convert.shared import Document, show_failure
from poolwright.wire.times import iso


class Run(Protocol):
    """What is known of a run; None: not yet, or there is nothing to tell."""

    @property
    def started_at(self) -> Instant | None: ...
    @property
    def ended_at(self) -> Instant | None: ...
    @property
    def exit_code(self) -> int | None: ...
    @property
    def failure(self) -> Failure | None: ...
    @property
    def result(self) -> ExecutionResult | None: ...


class Retried(Run, Protocol):
    """A run that is counted with those before it."""

    @property
    def retry_count(self) -> int: ...
    @property
    def last_retry_at(self) -> Instant | None: ...


def show_run(run: Run) -> Document:
    """Times, exit code, failure and result."""
    shown: Document = {}
    if run.started_at is not None:
        shown["startTime"] = iso(run.started_at)
    if run.ended_at is not None:
        shown["endTime"] = iso(run.ended_at)
    if run.exit_code is not None:
        shown["exitCode"] = run.exit_code
    if run.failure is not None:
        shown["failureInfo"] = show_failure(run.failure)
    if run.result is not None:
        shown["result"] = run.result.value
    return shown


def show_retries(run: Retried) -> Document:
    """How often it was tried again."""
    shown: Document = {"retryCount": run.retry_count}
    if run.last_retry_at is not None:
        shown["lastRetryTime"] = iso(run.last_retry_at)
    return shown
