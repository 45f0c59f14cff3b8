"""Rules of the tasks a job has by itself: its manager, its preparation and its release."""

from __future__ import annotations

from poolwright.domain.clock import span
from poolwright.domain.errors import ServiceError, bad_property
from poolwright.domain.job import JobSpec
from poolwright.domain.job_tasks import RELEASE_WALL_CLOCK_MAX
from poolwright.domain.limits import SLOTS_PER_NODE_MAX
from poolwright.domain.rules import check_id


def check_job_tasks(spec: JobSpec) -> None:
    """Raises InvalidPropertyValue (400); TaskIdSameAsJobPreparationTask, TaskIdSameAsJobReleaseTask (409)."""
    preparation, release, manager = spec.preparation, spec.release, spec.manager
    if preparation is not None:
        check_id("task", preparation.id)
        _positive("jobPreparationTask.constraints.maxWallClockTime", preparation.max_wall_clock)
        if preparation.max_retries < -1:
            name = "jobPreparationTask.constraints.maxTaskRetryCount"
            raise bad_property(
                name, preparation.max_retries, "-1 (no limit) or a number that is not negative."
            )
    if release is not None:
        check_id("task", release.id)
        if preparation is None:
            reason = "A job release task needs a job preparation task."
            raise bad_property("jobReleaseTask", release.id, reason)
        if preparation.id.lower() == release.id.lower():
            raise bad_property("jobReleaseTask.id", release.id, "The job preparation task has this id.")
        _positive("jobReleaseTask.maxWallClockTime", release.max_wall_clock)
        if release.max_wall_clock > RELEASE_WALL_CLOCK_MAX:
            raise bad_property(
                "jobReleaseTask.maxWallClockTime", span(release.max_wall_clock), "At most 15 minutes."
            )
    if manager is not None:
        check_id("task", manager.id)
        check_not_of_job(manager.id, spec)
        if not 1 <= manager.spec.required_slots <= SLOTS_PER_NODE_MAX:
            reason = f"A task takes 1 to {SLOTS_PER_NODE_MAX} slots."
            raise bad_property("jobManagerTask.requiredSlots", manager.spec.required_slots, reason)
        _positive("jobManagerTask.constraints.maxWallClockTime", manager.spec.max_wall_clock)


def check_not_of_job(id: str, spec: JobSpec) -> None:
    """A task has another id than the job's preparation and release."""
    if spec.preparation is not None and spec.preparation.id.lower() == id.lower():
        raise ServiceError("TaskIdSameAsJobPreparationTask", None, (("TaskId", id),))
    if spec.release is not None and spec.release.id.lower() == id.lower():
        raise ServiceError("TaskIdSameAsJobReleaseTask", None, (("TaskId", id),))


def _positive(name: str, value: int) -> None:
    if value <= 0:
        raise bad_property(name, span(value), "A positive duration.")
