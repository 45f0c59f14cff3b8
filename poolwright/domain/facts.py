"""Facts: what happened, written in the same transaction as the change itself; and the keys that wake the loops."""

from __future__ import annotations

from dataclasses import dataclass, field

from poolwright.domain.clock import Instant


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing that happened to one noun. `kind` is a dotted name such as "pool.resize.start"."""

    at: Instant
    kind: str
    account: str
    subject: str  # "pool/p1", "node/p1/tvm-..", "job/j1", "task/j1/t1", "resource/<key>"
    detail: dict[str, str | int | float | bool | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Entry:
    """A fact in the journal. Numbers only grow, in the order of commits; some may be missing."""

    number: int
    fact: Fact


TASK_START, TASK_COMPLETE = "task.start", "task.complete"
COMMON = frozenset({TASK_START, TASK_COMPLETE})
"""Kinds that come with every task: they are not found by their subject, and an operator may do without them."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why something waits or failed: a short code, a sentence, what to do next, and the evidence."""

    code: str
    message: str
    next_step: str = ""
    evidence: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class DirtyKey:
    """A noun whose loop should look again. noun: "pool" | "autopool" | "job" | "schedule" | "resource" | ..."""

    noun: str
    account: str
    id: str
