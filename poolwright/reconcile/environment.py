"""What an execution is given: its directories, its command, and the documented environment variables.

A task's own variables win over its job's; the service's variables win over both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from poolwright.domain.certificate import START_TASK, TASK
from poolwright.domain.clock import FOREVER
from poolwright.domain.containers import ContainerSettings
from poolwright.domain.job import Job
from poolwright.domain.job_schedule import workitem
from poolwright.domain.node import Node, start_name
from poolwright.domain.package import variables
from poolwright.domain.pool import Pool, StartTask
from poolwright.domain.task import Task
from poolwright.reconcile.fleet import ExecSpec

ROOT = "/mnt/batch/tasks"
STARTUP = "startup"
CERTIFICATES = "/mnt/batch/certs"  # what whom may see in a directory of its own
#: Free space below which a node counts as full, told to tasks under the name the public service uses.
RESERVED_DISK_BYTES = 1_000_000


#: Makes the token by which a task may call the service: account, job id, name of the execution.
TokenMaker = Callable[[str, str, str], str]


def no_token(*_: str) -> str:
    """Where nobody makes tokens (the simulation)."""
    return ""


def task_directory(job_id: str, task_id: str) -> str:
    """Relative to the node's root directory."""
    return "/".join(("workitems", *workitem(job_id), task_id))


def install_name(machine: str, fence: int) -> str:
    """What the bringing of a node's packages and images is known by while it goes on."""
    return f"n{machine}.{fence}"


def parse_start(name: str) -> tuple[str, int, int] | None:
    """(machine, fence, attempt) of a start task's execution, or None if it is not one."""
    machine, _, rest = name[1:].partition(".")
    fence, _, attempt = rest.partition(".")
    if not name.startswith("s") or not fence.isdigit() or not attempt.isdigit():
        return None
    return machine, int(fence), int(attempt)


def node_environment(pool: Pool, node: Node, account_url: str) -> dict[str, str]:
    """The variables every execution on this node has."""
    told = variables(node.packages.items, ROOT) if node.packages.items else {}
    return {
        **told,
        "AZ_BATCH_ACCOUNT_NAME": pool.account,
        "AZ_BATCH_ACCOUNT_URL": account_url,
        "AZ_BATCH_POOL_ID": pool.id,
        "AZ_BATCH_NODE_ID": node.id,
        "AZ_BATCH_NODE_IS_DEDICATED": "true" if node.dedicated else "false",
        "AZ_BATCH_NODE_ROOT_DIR": ROOT,
        "AZ_BATCH_NODE_SHARED_DIR": f"{ROOT}/shared",
        "AZ_BATCH_NODE_STARTUP_DIR": f"{ROOT}/{STARTUP}",
        "AZ_BATCH_NODE_STARTUP_WORKING_DIR": f"{ROOT}/{STARTUP}/wd",
        "AZ_BATCH_NODE_MOUNTS_DIR": f"{ROOT}/fsmounts",
        "AZ_BATCH_CERTIFICATES_DIR": f"{CERTIFICATES}/{TASK}",
        "AZ_BATCH_TASK_RESERVED_EPHEMERAL_DISK_SPACE_BYTES": str(RESERVED_DISK_BYTES),
        "AZ_BATCH_RESERVED_DISK_SPACE_BYTES": str(RESERVED_DISK_BYTES),  # its older name
    }


def container_problem(container: ContainerSettings | None, node: Node, *, needed: bool) -> str | None:
    """Why a task with these container settings, or with none, cannot run on the node (public rule: where the pool has a
    container configuration tasks and job managers need them, else nobody may have them)."""
    if container is not None and not node.packages.containers:
        return "The task has containerSettings, but its pool has no containerConfiguration."
    if container is None and needed and node.packages.containers:
        return "The task has no containerSettings, which its pool with a containerConfiguration asks for."
    return None


def task_spec(
    task: Task, job: Job, node: Node, common: dict[str, str], token: TokenMaker = no_token
) -> ExecSpec:
    """The execution of the task's present attempt; `common` is `node_environment` of its node."""
    directory = task_directory(job.id, task.id)
    env = job_environment(job, task.id, task.spec.environment, common)
    env.update(preparation_environment(job))
    if task.spec.job_token:
        env["AZ_BATCH_AUTHENTICATION_TOKEN"] = token(job.account, job.id, task.execution)
    limit = task.spec.max_wall_clock
    return ExecSpec(
        machine=node.machine,
        fence=node.fence,
        name=task.execution,
        kind="task",
        directory=directory,
        command=task.spec.command_line,
        env=env,
        user=task.spec.user,
        wall_clock_s=None if limit >= FOREVER else limit / 1_000_000,
        resource_files=task.spec.resource_files,
        packages=task.spec.packages,
        container=task.spec.container,
        refusal=container_problem(task.spec.container, node, needed=True),
    )


def job_environment(
    job: Job, id: str, own: Iterable[tuple[str, str]], common: Mapping[str, str]
) -> dict[str, str]:
    """The variables of a task of the job that has this id and these variables of its own."""
    directory = f"{ROOT}/{task_directory(job.id, id)}"
    env = dict(job.spec.environment)
    env.update(own)
    env.update(common)
    env["AZ_BATCH_JOB_ID"] = job.id
    env["AZ_BATCH_TASK_ID"] = id
    env["AZ_BATCH_TASK_DIR"] = directory
    env["AZ_BATCH_TASK_WORKING_DIR"] = f"{directory}/wd"
    return env


def preparation_environment(job: Job) -> dict[str, str]:
    """Where the job's preparation task worked, for the tasks that come after it."""
    if job.spec.preparation is None:
        return {}
    directory = f"{ROOT}/{task_directory(job.id, job.spec.preparation.id)}"
    return {"AZ_BATCH_JOB_PREP_DIR": directory, "AZ_BATCH_JOB_PREP_WORKING_DIR": f"{directory}/wd"}


def start_spec(start: StartTask, attempt: int, pool: Pool, node: Node, account_url: str) -> ExecSpec:
    """The execution of an attempt of the node's start task."""
    env = dict(start.environment)
    env.update(node_environment(pool, node, account_url))
    env["AZ_BATCH_CERTIFICATES_DIR"] = f"{CERTIFICATES}/{START_TASK}"
    env["AZ_BATCH_TASK_DIR"] = f"{ROOT}/{STARTUP}"
    env["AZ_BATCH_TASK_WORKING_DIR"] = f"{ROOT}/{STARTUP}/wd"
    return ExecSpec(
        machine=node.machine,
        fence=node.fence,
        name=start_name(node, attempt),
        kind="start",
        directory=STARTUP,
        command=start.command_line,
        env=env,
        user=start.user,
        resource_files=start.resource_files,
        container=start.container,
        refusal=container_problem(start.container, node, needed=False),
    )
