"""A node's life on the terminal: its moves and the phases of its start."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table


def show_life(answer: Any) -> None:
    """Print `history`, `phases`, `evidence` and `notes` of an explanation of a node."""
    console = Console()
    for row in answer.get("value", []):
        for item in row.get("evidence", []):
            if item["name"].endswith("Tail") and item["value"]:
                console.print(f"\n{item['name']}:", highlight=False)
                console.print(item["value"], markup=False, highlight=False)
    console.print()
    console.print(_moves(answer.get("history", [])))
    console.print()
    console.print(_phases(answer.get("phases", [])))
    for note in answer.get("notes", []):
        console.print(f"note: {note}", markup=False, highlight=False)


def _moves(history: list[Any]) -> Table:
    table = Table("time", "state", "lasted", "reason", box=None, pad_edge=False)
    for move in history:
        table.add_row(move["time"], move["state"], _length(move.get("milliseconds")), move["reason"])
    return table


def _phases(phases: list[Any]) -> Table:
    table = Table("phase", "began", "took", box=None, pad_edge=False)
    for phase in phases:
        table.add_row(phase["name"], phase["startTime"], _length(phase.get("milliseconds")))
    return table


def _length(milliseconds: float | None) -> str:
    if milliseconds is None:
        return "..."
    return f"{milliseconds:.0f} ms" if milliseconds < 10_000 else f"{milliseconds / 1000:.1f} s"
