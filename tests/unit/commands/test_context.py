"""Conditional headers and accounts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from poolwright.commands import accounts
from poolwright.commands.context import Preconditions, next_modified
from poolwright.domain.clock import SECOND, etag
from poolwright.domain.errors import ServiceError
from tests.unit.commands.conftest import START, A, World

TAG = etag(START)
OTHER = etag(START + 1)
LATER = START + SECOND


@pytest.mark.parametrize(
    ("conditions", "write", "read"),
    [
        (Preconditions(), True, "fresh"),
        (Preconditions(if_match=TAG), True, "fresh"),
        (Preconditions(if_match=f'"{TAG}"'), True, "fresh"),
        (Preconditions(if_match=f'W/"{TAG}"'), True, "fresh"),
        (Preconditions(if_match=f"{OTHER}, {TAG}"), True, "fresh"),
        (Preconditions(if_match="*"), True, "fresh"),
        (Preconditions(if_match=OTHER), False, "failed"),
        (Preconditions(if_none_match=TAG), False, "same"),
        (Preconditions(if_none_match="*"), False, "same"),
        (Preconditions(if_none_match=OTHER), True, "fresh"),
        (Preconditions(if_unmodified_since=START), True, "fresh"),
        (Preconditions(if_unmodified_since=START - SECOND), False, "failed"),
        (Preconditions(if_modified_since=START - SECOND), True, "fresh"),
        (Preconditions(if_modified_since=START), False, "same"),
        (Preconditions(if_modified_since=LATER), False, "same"),
        # The tag alone counts.
        (Preconditions(if_match=TAG, if_unmodified_since=START - SECOND), True, "fresh"),
        (Preconditions(if_none_match=OTHER, if_modified_since=LATER), True, "fresh"),
    ],
)
def test_conditions(conditions: Preconditions, write: bool, read: str) -> None:
    assert _outcome(lambda: conditions.check_write(START)) == (None if write else 412)
    seen = {"fresh": False, "same": True, "failed": 412}
    assert _outcome(lambda: conditions.check_read(START)) == seen[read]


def _outcome(check: Callable[[], bool | None]) -> bool | int | None:
    try:
        return check()
    except ServiceError as error:
        return error.status if error.code == "ConditionNotMet" else None


def test_times_of_headers_are_whole_seconds() -> None:
    Preconditions(if_unmodified_since=START).check_write(START + SECOND - 1)
    assert Preconditions(if_modified_since=START).check_read(START + SECOND - 1)


def test_a_change_is_always_newer(world: World) -> None:
    ctx = world.context()
    assert next_modified(ctx, START - 5) == START
    assert next_modified(ctx, START) == START + 1
    assert next_modified(ctx, START + 9) == START + 10


def test_now_is_read_once(world: World) -> None:
    ctx = world.context()
    world.source.time += SECOND
    assert ctx.now == START
    assert world.context().now == START + SECOND


def test_accounts(world: World) -> None:
    account = world.read(lambda tx: accounts.get(tx, "ACCT"))
    assert account.name == A
    with pytest.raises(ServiceError) as caught:
        world.read(lambda tx: accounts.get(tx, "nobody"))
    assert caught.value.status == 404
    assert world.read(accounts.default) == account
    world.write(lambda tx: tx.accounts.insert(replace(account, name="second")))
    assert world.read(accounts.default) is None
    world.write(lambda tx: tx.accounts.put_setting(accounts.DEFAULT_ACCOUNT, "second"))
    assert world.read(accounts.default) == replace(account, name="second")
