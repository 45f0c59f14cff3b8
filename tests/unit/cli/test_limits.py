"""`--task-life DURATION`: read, or refused with the reason."""

from __future__ import annotations

import pytest
import typer

from poolwright.cli.limits import read_task_life
from poolwright.domain.clock import DAY, HOUR, MINUTE, SECOND
from poolwright.domain.limits import TASK_LIFE, Settings


@pytest.mark.parametrize(
    ("given", "life"),
    [("180d", TASK_LIFE), ("1d", DAY), ("12h", 12 * HOUR), ("30m", 30 * MINUTE), ("1s", SECOND)],
)
def test_durations(given: str, life: int) -> None:
    assert read_task_life(given) == life


def test_the_default_is_the_public_limit() -> None:
    assert Settings().task_life == read_task_life("180d")


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ("", "write it as"),
        ("5", "write it as"),
        ("-1d", "write it as"),
        ("1w", "write it as"),
        ("0s", "from 1s"),
        ("181d", "to 180d"),
    ],
)
def test_what_cannot_be_is_refused(given: str, reason: str) -> None:
    with pytest.raises(typer.BadParameter, match=reason):
        read_task_life(given)
