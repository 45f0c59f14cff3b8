"""One transaction on one SQLite connection."""

from __future__ import annotations

from poolwright.domain.facts import DirtyKey
from poolwright.store.base import StoreError
from poolwright.store.connection import Db
from poolwright.store.tables.accounts import AccountTable
from poolwright.store.tables.applications import ApplicationTable
from poolwright.store.tables.auto_pools import AutoPoolTable
from poolwright.store.tables.certificates import CertificateTable
from poolwright.store.tables.executions import ExecutionTable
from poolwright.store.tables.job_nodes import JobNodeTable
from poolwright.store.tables.jobs import JobTable
from poolwright.store.tables.journal import JournalTable
from poolwright.store.tables.log_uploads import LogUploadTable
from poolwright.store.tables.nodes import NodeTable
from poolwright.store.tables.pools import PoolTable
from poolwright.store.tables.resources import ResourceTable
from poolwright.store.tables.samples import SampleTable
from poolwright.store.tables.schedules import ScheduleTable
from poolwright.store.tables.storage_accounts import StorageAccountTable
from poolwright.store.tables.subtasks import SubtaskTable
from poolwright.store.tables.tasks import TaskTable


class SqliteTx:
    """See store/base.py, Tx. Lives as long as its connection; `dirty` holds the keys of the running transaction."""

    def __init__(self, db: Db, *, read_only: bool = False, task_facts: bool = True) -> None:
        self.accounts = AccountTable(db)
        self.pools = PoolTable(db)
        self.nodes = NodeTable(db)
        self.jobs = JobTable(db)
        self.schedules = ScheduleTable(db)
        self.auto_pools = AutoPoolTable(db)
        self.tasks = TaskTable(db)
        self.job_nodes = JobNodeTable(db)
        self.executions = ExecutionTable(db)
        self.subtasks = SubtaskTable(db)
        self.resources = ResourceTable(db)
        self.applications = ApplicationTable(db)
        self.certificates = CertificateTable(db)
        self.storage = StorageAccountTable(db)
        self.log_uploads = LogUploadTable(db)
        self.journal = JournalTable(db, common=task_facts)
        self.samples = SampleTable(db)
        self.dirty: list[DirtyKey] = []
        self._read_only = read_only

    def mark_dirty(self, key: DirtyKey) -> None:
        if self._read_only:
            raise StoreError("a read cannot wake a loop")
        self.dirty.append(DirtyKey(key.noun, key.account, key.id.lower()))
