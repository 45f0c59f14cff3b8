"""`poolwright autoscale`: what a formula would have done with a pool."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from poolwright.cli.client import Client
from poolwright.cli.places import default_data_dir, load_credentials

app = typer.Typer(no_args_is_help=True, help="Formulas that size pools.")

_BAR = 30
"""Characters of the longest bar."""


@app.callback()
def _group() -> None:
    """Keeps the name of the only command."""


@app.command()
def simulate(
    pool: str,
    formula: Annotated[
        Path | None,
        typer.Option(help="File with the formula; without it the pool's own.", exists=True, dir_okay=False),
    ] = None,
    hours: Annotated[float, typer.Option(min=0.01, max=24.0, help="How far back.")] = 24.0,
    interval: Annotated[
        int | None, typer.Option(min=5, max=10080, help="Minutes between runs; without it the pool's own.")
    ] = None,
    data_dir: Annotated[
        Path | None, typer.Option("--data-dir", help="The service's data directory.", show_default=False)
    ] = None,
) -> None:
    """Replay a formula over the pool's recorded samples; nothing is changed.

    Each run sees the samples of its moment and a pool that had come to the targets of the run before it.
    """
    body: dict[str, Any] = {"hours": hours}
    if formula is not None:
        body["autoScaleFormula"] = formula.read_text("utf-8")
    if interval is not None:
        body["autoScaleEvaluationInterval"] = f"PT{interval}M"
    with Client(load_credentials((data_dir or default_data_dir()).resolve())) as client:
        answer = client.call("POST", "pools", pool, "simulateautoscale", body=body)
    steps = answer["value"]
    if not steps:
        typer.echo(
            f"no samples of {pool} are recorded yet; the first comes within 30 seconds of its creation"
        )
        return
    Console().print(table_of(steps))


def table_of(steps: list[dict[str, Any]]) -> Table:
    """One line a run: what was recorded then, and what the formula would have asked for."""
    table = Table(show_header=True, box=None, pad_edge=False)
    table.add_column("time", no_wrap=True)
    for column in ("pending", "nodes were", "dedicated", "low-priority", "option", ""):
        table.add_column(column, justify="right" if column in ("pending", "nodes were") else "left")
    most = max(_nodes(step) for step in steps) or 1
    for step in steps:
        recorded, error = step["recorded"], step.get("error")
        were = recorded.get("CurrentDedicatedNodes", 0) + recorded.get("CurrentLowPriorityNodes", 0)
        why = "" if error is None else "; ".join(value["value"] for value in error.get("values", []))
        table.add_row(
            step["timestamp"][:19],
            f"{recorded.get('PendingTasks', 0):g}",
            f"{were:g}",
            str(step["targetDedicatedNodes"]),
            str(step["targetLowPriorityNodes"]),
            step["nodeDeallocationOption"],
            f"failed: {why}" if error is not None else "#" * round(_BAR * _nodes(step) / most),
        )
    return table


def _nodes(step: dict[str, Any]) -> int:
    return int(step["targetDedicatedNodes"]) + int(step["targetLowPriorityNodes"])
