"""What callers of the stories ask for: pools, jobs and tasks by chance, of the kinds that go wrong."""

from __future__ import annotations

from random import Random

from poolwright.domain.auto_pool import AutoPool
from poolwright.domain.clock import FOREVER, MINUTE, SECOND
from poolwright.domain.dependencies import Dependencies
from poolwright.domain.exits import ExitConditions, ExitOptions
from poolwright.domain.job import NO_ACTION, TERMINATE_IDLE, JobSpec
from poolwright.domain.job_tasks import ManagerTask, PreparationTask, ReleaseTask
from poolwright.domain.multi_instance import MultiInstance
from poolwright.domain.pool import ImageReference, PoolSpec, StartTask
from poolwright.domain.states import FillType
from poolwright.domain.task import TaskSpec
from poolwright.domain.task_ends import PERFORM
from poolwright.sim import images, transfers
from poolwright.sim.host import NO_COMMAND, command

#: How tasks of the stories fail.
CODES = (1, 1, 2, 3, 7)
MARKETPLACE = ImageReference(publisher="Debian", offer="debian-12", sku="12", version="latest")


def pool(rng: Random) -> PoolSpec:
    """A pool without a start task, of the marketplace image or the story's own."""
    slots, fill = rng.choice((1, 2, 4)), rng.choice(list(FillType))
    agent = "batch.node.debian 12"
    image = rng.choice(images.REFERENCES) if rng.random() < 0.4 else MARKETPLACE
    inter_node = slots == 1 or rng.random() < 0.2
    return PoolSpec("Standard_D2s_v3", image, agent, slots_per_node=slots, fill=fill, inter_node=inter_node)


def start_task(rng: Random) -> StartTask | None:
    """Half the time one, which sometimes fails."""
    if rng.random() < 0.5:
        return None
    code = 0 if rng.random() < 0.8 else 1
    line = command(rng.randrange(20 * SECOND), code)
    return StartTask(line, max_retries=rng.randrange(3), wait_for_success=rng.random() < 0.7)


def job(rng: Random, pool: str, auto: AutoPool | None) -> JobSpec:
    """A job on a pool (or on one made for it), often with tasks of its own."""
    prepares = rng.random() < 0.4
    releases = prepares and rng.random() < 0.8
    performs = rng.random() < 0.25
    return JobSpec(
        "" if auto else pool,
        auto_pool=auto,
        priority=rng.randrange(3),
        max_parallel_tasks=rng.choice((-1, -1, 2)),
        max_task_retries=rng.randrange(2),
        on_all_tasks_complete=rng.choice((*(NO_ACTION,) * 5, TERMINATE_IDLE)),
        uses_dependencies=rng.random() < 0.6,
        cancel_dependents=rng.random() < 0.3,
        preemptible=rng.random() < 0.5,
        preparation=_preparation(rng) if prepares else None,
        release=ReleaseTask(command(rng.randrange(20 * SECOND), 0)) if releases else None,
        manager=_manager(rng) if rng.random() < 0.2 else None,
        on_task_failure=PERFORM if performs else NO_ACTION,
        max_wall_clock=rng.choice((*(FOREVER,) * 6, 2 * MINUTE, 6 * MINUTE)),
    )


def task(rng: Random, newest: int, job: JobSpec) -> TaskSpec:
    """A task that may be a gang; `newest` is the number of the newest one, on which it may depend."""
    gang = _gang(rng) if rng.random() < 0.15 else None
    line = command(
        rng.randrange(rng.choice((5, 60, 300)) * SECOND), 0 if rng.random() < 0.8 else rng.choice(CODES)
    )
    return TaskSpec(
        line if rng.random() < 0.97 else NO_COMMAND,
        required_slots=1 if gang else rng.choice((1, 1, 1, 2, 4)),
        multi=gang,
        max_retries=rng.choice((None, None, None, 3)),
        max_wall_clock=rng.choice((FOREVER, FOREVER, 30 * SECOND)),
        # Kept short, so that a drain that waits for it ends within a story.
        retention=rng.randrange(20 * MINUTE),
        resource_files=transfers.resource_files(rng) if rng.random() < 0.12 else (),
        output_files=transfers.output_files(rng) if rng.random() < 0.12 else (),
        depends_on=_parents(rng, newest) if job.uses_dependencies else None,
        exit_conditions=_exits(rng, job.on_task_failure == PERFORM) if rng.random() < 0.4 else None,
    )


def _exits(rng: Random, actions: bool) -> ExitConditions:
    """Some of the conditions there are, with job actions where the job performs them."""

    def options() -> ExitOptions:
        action = rng.choice((None, "none", "none", "disable", "terminate")) if actions else None
        return ExitOptions(action, rng.choice((None, "satisfy", "block")))

    return ExitConditions(
        codes=tuple((code, options()) for code in sorted({0, *CODES}) if rng.random() < 0.3),
        ranges=((2, 3, options()),) if rng.random() < 0.5 else (),
        pre_processing=options() if rng.random() < 0.4 else None,
        default=options() if rng.random() < 0.4 else None,
    )


def _preparation(rng: Random) -> PreparationTask:
    return PreparationTask(
        command(rng.randrange(30 * SECOND), 0 if rng.random() < 0.9 else 1),
        max_retries=rng.randrange(2),
        wait_for_success=rng.random() < 0.8,
        rerun_after_reboot=rng.random() < 0.5,
    )


def _manager(rng: Random) -> ManagerTask:
    line = command(rng.randrange(300 * SECOND), 0 if rng.random() < 0.8 else 1)
    spec = TaskSpec(line, retention=10 * MINUTE)
    flags = {name: rng.random() < 0.7 for name in ("kill_job", "exclusive", "low_priority")}
    return ManagerTask("boss", spec, "{}", **flags)


def _gang(rng: Random) -> MultiInstance:
    coordination = command(rng.randrange(30 * SECOND), 0 if rng.random() < 0.9 else 1)
    return MultiInstance(coordination, 1 + rng.randrange(4))


def _parents(rng: Random, newest: int) -> Dependencies | None:
    """Tasks added lately, sometimes such as do not exist."""
    if rng.random() < 0.5:
        return None
    if rng.random() < 0.5:
        first = max(1, newest - 1 - rng.randrange(4))
        return Dependencies(ranges=((first, max(first, newest - 1)),))
    return Dependencies(tuple({str(max(1, newest - 1 - rng.randrange(5))) for _ in range(2)}))
