"""Who asks, when, under which settings and on which conditions: what every command is given besides its transaction."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from poolwright.domain.clock import SECOND, Clock, Ids, Instant, etag
from poolwright.domain.errors import ServiceError
from poolwright.domain.facts import DirtyKey, Fact
from poolwright.domain.limits import Settings
from poolwright.store.base import Tx


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks. `name` is the account of a shared key, the subject of a token, or the part of the service."""

    kind: Literal["sharedkey", "token", "system"]
    name: str


@dataclass(frozen=True, slots=True)
class Context:
    """One request. `now` is read from the clock once, so that all a request writes bears one time."""

    clock: Clock
    ids: Ids
    settings: Settings
    caller: Caller
    now: Instant = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "now", self.clock.now())


@dataclass(frozen=True, slots=True)
class Preconditions:
    """Conditional headers of a request. Tags may be quoted, weak, `*` or a comma-separated list; times are in whole
    seconds, as the headers are. Where a tag and a time say the same thing only the tag counts (public rule); other
    pairs are refused at the edge.
    """

    if_match: str | None = None
    if_none_match: str | None = None
    if_modified_since: Instant | None = None
    if_unmodified_since: Instant | None = None

    def check_write(self, modified_at: Instant) -> None:
        """Raises ConditionNotMet (412) unless a change of something last modified then may go on."""
        self._check_unchanged(modified_at)
        if not self._changed(modified_at):
            raise ServiceError("ConditionNotMet")

    def check_read(self, modified_at: Instant) -> bool:
        """Whether the answer is "not modified" (304). Raises ConditionNotMet (412) for the other conditions."""
        self._check_unchanged(modified_at)
        return not self._changed(modified_at)

    def _check_unchanged(self, modified_at: Instant) -> None:
        if self.if_match is not None:
            met = _names(self.if_match, etag(modified_at))
        elif self.if_unmodified_since is not None:
            met = modified_at // SECOND <= self.if_unmodified_since // SECOND
        else:
            met = True
        if not met:
            raise ServiceError("ConditionNotMet")

    def _changed(self, modified_at: Instant) -> bool:
        if self.if_none_match is not None:
            return not _names(self.if_none_match, etag(modified_at))
        if self.if_modified_since is not None:
            return modified_at // SECOND > self.if_modified_since // SECOND
        return True


NO_CONDITIONS = Preconditions()


def _names(header: str, tag: str) -> bool:
    given = (part.strip().removeprefix("W/").strip('"') for part in header.split(","))
    return any(part in ("*", tag) for part in given)


def next_modified(ctx: Context, before: Instant) -> Instant:
    """The time a change gets: now, or just after the last change when the clock has not moved since, because an
    entity tag is made from it and must differ."""
    return max(ctx.now, before + 1)


def record(
    tx: Tx, ctx: Context, account: str, subject: str, kind: str, **detail: str | int | float | bool | None
) -> None:
    """Write down what happened, and who asked for it."""
    by = f"{ctx.caller.kind}:{ctx.caller.name}"
    tx.journal.record([Fact(ctx.now, kind, account, subject, {"by": by, **detail})])


def wake(tx: Tx, noun: str, account: str, id: str) -> None:
    """Have the loop of this noun look once the transaction is durable."""
    tx.mark_dirty(DirtyKey(noun, account, id))
