"""Options of `poolwright up` that set limits and rules of the service."""

from __future__ import annotations

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
AllowReimage = Annotated[
    bool,
    typer.Option("--allow-reimage", help="Serve the reimage operation, which the public service refuses."),
]
