"""The stories would prove little if what they are about never happened in them."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable

from poolwright.sim.story import Story

MISFORTUNES = (
    "restart_service",
    "restart_host",
    "crash_machines",
    "agent_away",
    "cut",
    "memory",
    "room",
    "full_disk",
    "image",
    "switched_off",
)
ORDERS = ("reboot", "reimage", "deallocate", "start", "preempt", "disable", "enable")
COMMANDS = ("taskcompletion", "retaineddata", "delete_pool", "create_schedule", "schedule_order")
CHANGES = ("put", "pool ", "priority", "max_wall_clock", "on_all_tasks_complete terminate")

IMAGES = (
    "image_order: made",
    "image_order: deleted by force while pools use it",
    "image_order: deleted by force while pools use it, a version",
    "image_order: made a version",
    "image_order: refused: ImageInUse",
)


def _whole(seed: int) -> Iterable[str]:
    """All that a story tells, not only the newest part."""
    story = Story(seed)
    story.outcome.trace = deque()
    return story.run(60).trace


def test_the_stories_together_meet_every_kind_of_misfortune() -> None:
    told = "\n".join(line for seed in range(1, 15) for line in _whole(seed))
    for what in MISFORTUNES:
        assert f"-- {what}" in told, f"no story has {what}"
    for what in CHANGES:
        assert re.search(f"change_job: job\\S* {what}", told), f"no story has {what}"
    assert re.search(r"change_task: job\S+/\d", told), "no story changes a task"
    assert re.search(r"change_schedule: \w+ly", told), "no story changes a schedule"
    for what in (*ORDERS, *COMMANDS, *IMAGES):
        assert what in told, f"no story has {what}"
