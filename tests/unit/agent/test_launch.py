"""Orders are read strictly, and words split as shlex does, on the short way too."""

from __future__ import annotations

import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from poolwright.agent import launch
from poolwright.agent.users import UnknownUser, Users


@given(st.text(st.sampled_from("ab '\"\\\t\n\r\x0b\x0c\u00a0\u2003#$;*"), max_size=20))
def test_the_short_way_of_splitting_is_exact(command: str) -> None:
    try:
        expected = shlex.split(command)
    except ValueError:
        with pytest.raises(launch.LaunchError, match="split"):
            launch.check({"exec": "e", "command": command, "dir": "d"})
        return
    if not expected:
        with pytest.raises(launch.LaunchError, match="empty"):
            launch.check({"exec": "e", "command": command, "dir": "d"})
        return
    assert list(launch.check({"exec": "e", "command": command, "dir": "d"}).words) == expected


@pytest.mark.parametrize("directory", ["", "/abs", "a/", "../a", "a/../b", "a//b", ".", "a\0b"])
def test_directories_outside_the_root_are_refused(directory: str) -> None:
    with pytest.raises(launch.LaunchError, match="root directory"):
        launch.check({"exec": "e", "command": "true", "dir": directory})


def test_task_accounts_go_round_before_they_come_back() -> None:
    users = Users()
    first = users.take({"scope": "task"})
    second = users.take({"scope": "task"})
    users.give_back(first)
    third = users.take({"scope": "task"})
    assert [user.uid for user in (first, second, third)] == [2000, 2001, 2002]
    assert users.take({"scope": "task", "elevation": "admin"}).uid == 0
    assert users.take({}).uid == 1500
    taken = {users.take({"scope": "task"}).uid for _ in range(254)}
    assert 2000 in taken
    with pytest.raises(UnknownUser, match="in use"):
        users.take({"scope": "task"})
