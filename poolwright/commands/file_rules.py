"""What files of tasks may be, where the storage of their account has a say."""

from __future__ import annotations

from collections.abc import Sequence

from poolwright.commands.context import Context
from poolwright.domain.errors import bad_property
from poolwright.domain.job import JobSpec
from poolwright.domain.pool import PoolSpec
from poolwright.domain.transfer import ResourceFile, Source
from poolwright.store.base import Tx


def check_linked(tx: Tx, ctx: Context, account: str, files: Sequence[ResourceFile], name: str) -> None:
    """No file from linked storage when there is none. Raises InvalidPropertyValue (400)."""
    for index, file in enumerate(files):
        if file.source is not Source.AUTO_STORAGE:
            continue
        if ctx.settings.auto_storage or tx.storage.link_of(account) is not None:
            return
        reason = (
            "The account has no linked storage: set its autoStorage, or have the operator link one for every account "
            "(`poolwright up --auto-storage`)."
        )
        raise bad_property(f"{name}[{index}].{file.source.value}", file.address, reason)


def check_pool_files(tx: Tx, ctx: Context, account: str, spec: PoolSpec, within: str = "") -> None:
    """The files of a pool's start task, as `check_linked`."""
    if spec.start_task is not None:
        check_linked(tx, ctx, account, spec.start_task.resource_files, f"{within}startTask.resourceFiles")


def check_job_files(tx: Tx, ctx: Context, account: str, spec: JobSpec) -> None:
    """The files of a job's own tasks and of its auto pool, as `check_linked`."""
    given = (
        ("jobManagerTask", None if spec.manager is None else spec.manager.spec),
        ("jobPreparationTask", spec.preparation),
        ("jobReleaseTask", spec.release),
    )
    for name, task in given:
        if task is not None:
            check_linked(tx, ctx, account, task.resource_files, f"{name}.resourceFiles")
    if spec.auto_pool is not None:
        check_pool_files(tx, ctx, account, spec.auto_pool.spec, "poolInfo.autoPoolSpecification.pool.")
