"""Options of `poolwright up` that set limits and rules of the service."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time
from typing import Annotated

import typer

CoreQuota = Annotated[
    int | None,
    typer.Option(min=0, help="Most cores that nodes of the kind have in one account.", show_default="none"),
]
Grace = Annotated[
    float,
    typer.Option(min=5.0, max=600.0, help="Seconds nodes and their tasks go on while the service is away."),
]
KillGrace = Annotated[
    float,
    typer.Option(min=0.0, max=600.0, help="Seconds a task that is to end has between SIGTERM and SIGKILL."),
]
TaskLife = Annotated[
    str,
    typer.Option(
        metavar="DURATION",
        help="How old a task may become before it is ended, or is not run any more: 180d at most, or 12h, 30m, 10s.",
    ),
]
Simulate = Annotated[
    bool,
    typer.Option("--simulate", help="Simulate the nodes of images that nothing here can run (Windows, ...)."),
]
Regrow = Annotated[
    bool,
    typer.Option(
        "--regrow/--no-regrow",
        help="Let resizes of pools above 300 nodes go on by themselves; off: resize again, as in the public service.",
    ),
]
PoolQuota = Annotated[int, typer.Option(min=0, help="Most pools of an account.")]
JobQuota = Annotated[int, typer.Option(min=0, help="Most active jobs and schedules of an account.")]
RelaxAuth = Annotated[
    bool, typer.Option("--relax-custom-image-auth", help="Let shared keys make pools from custom images.")
]
AllowMismatch = Annotated[
    bool,
    typer.Option(
        "--allow-agent-mismatch",
        help="Let pools name another node agent SKU than the one of their custom image's operating system.",
    ),
]
AllowReimage = Annotated[
    bool,
    typer.Option("--allow-reimage", help="Serve the reimage operation, which the public service refuses."),
]
MaxStep = Annotated[
    int | None,
    typer.Option(
        min=1, help="Most nodes of a kind that one run of an autoscale formula adds.", show_default="no bound"
    ),
]
SupportEnds = Annotated[
    list[str] | None,
    typer.Option(
        "--image-support-ends",
        metavar="PUBLISHER:OFFER:SKU=DATE",
        help="From this day (UTC) on no pool is made of this marketplace image; lists show it. May be repeated.",
    ),
]


_UNITS = {"d": 86_400_000_000, "h": 3_600_000_000, "m": 60_000_000, "s": 1_000_000}


def read_task_life(given: str) -> int:
    """A duration in microseconds. Raises typer.BadParameter."""
    found = re.fullmatch(r"([0-9]{1,9})([dhms])", given)
    if found is None:
        raise typer.BadParameter(f"{given!r}: write it as 180d, 12h, 30m or 10s", param_hint="--task-life")
    life = int(found[1]) * _UNITS[found[2]]
    if not _UNITS["s"] <= life <= 180 * _UNITS["d"]:
        raise typer.BadParameter(f"{given!r}: it is from 1s to 180d", param_hint="--task-life")
    return life


def read_ends(given: list[str] | None) -> tuple[tuple[str, int], ...]:
    """The names of images, in lower case, with the first moment of the day. Raises typer.BadParameter."""
    found = {}
    for text in given or ():
        name, _, day = text.partition("=")
        try:
            first = datetime.combine(date.fromisoformat(day), time(), UTC)
        except ValueError:
            first = None
        if first is None or not re.fullmatch(r"[^:\s]+:[^:\s]+:[^:\s]+", name):
            reason = f"{text!r}: write it as debian:debian-12:12=2028-06-30"
            raise typer.BadParameter(reason, param_hint="--image-support-ends")
        found[name.lower()] = int(first.timestamp()) * 1_000_000
    return tuple(found.items())
