"""Checkers that judge a task at the moment when a process of it begins."""

from __future__ import annotations

from poolwright.domain.task import Task, parse_execution
from poolwright.sim.host import Host
from poolwright.sim.seen import Reader, Seen


class OfBegun:
    """Complains of processes of tasks by what the rows say when they begin. Fed by the host."""

    def __init__(self, store: Reader, host: Host) -> None:
        self._store = store
        self._host = host
        self.complaints: list[str] = []
        host.hears.append(self._begun)

    def _begun(self, machine: str, name: str) -> None:
        parsed = parse_execution(name)
        if parsed is None:
            return
        task = self._store.read_now(lambda tx: tx.tasks.by_pks([parsed[0]]).get(parsed[0]))
        if task is not None:
            self.complaints += self.begun(machine, name, task)

    def begun(self, machine: str, name: str, task: Task) -> list[str]:
        """What is wrong with this process, which is of one of the task's attempts."""
        raise NotImplementedError

    def check(self, _: Seen) -> list[str]:
        """What was wrong so far."""
        return list(self.complaints)
