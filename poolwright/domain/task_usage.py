"""What runs of tasks used, as the kernel of their node counted it."""

from __future__ import annotations

from dataclasses import astuple, dataclass

from poolwright.domain.clock import Micros


@dataclass(frozen=True, slots=True)
class TaskUsage:
    """Sums over the runs of a task, or of all tasks of a job; every number is 0 or more.

    `user` and `kernel` are processor time of all cores together; `wall` is the time from start to end. `reads` and
    `writes` are calls (the kernel counts no other operations per process), `read_bytes` and `written_bytes` what
    went from and to disks.
    """

    user: Micros = 0
    kernel: Micros = 0
    wall: Micros = 0
    reads: int = 0
    writes: int = 0
    read_bytes: int = 0
    written_bytes: int = 0

    def __add__(self, other: TaskUsage) -> TaskUsage:
        return TaskUsage(*(mine + others for mine, others in zip(astuple(self), astuple(other), strict=True)))


NOTHING = TaskUsage()
