"""The live display: one line a step with its time, a detail line while it runs, a table at the end."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.console import Console
from rich.status import Status
from rich.table import Table


class StepFailed(Exception):
    """A step of the story did not do what it should; the message says what was expected and what came."""


@dataclass
class StepLog:
    """What one step did: its notes become the "what happened" column."""

    title: str
    notes: list[str] = field(default_factory=list)
    seconds: float = 0.0
    ok: bool = False
    status: Status | None = None

    def say(self, detail: str) -> None:
        """Show what is going on now (not kept)."""
        if self.status is not None:
            self.status.update(f"[bold]{self.title}[/] [dim]{detail}[/]")

    def note(self, text: str) -> None:
        """Keep one sentence of what happened."""
        self.notes.append(text)

    def expect(self, holds: bool, what: str) -> None:
        """Raise StepFailed unless `holds`."""
        if not holds:
            raise StepFailed(what)


class Display:
    """All steps of one run of the story."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.steps: list[StepLog] = []
        self._began = time.monotonic()

    @contextmanager
    def step(self, title: str) -> Iterator[StepLog]:
        """Time one step and show it; an exception marks it as failed and goes on up."""
        log = StepLog(title)
        self.steps.append(log)
        began = time.monotonic()
        try:
            with self.console.status(f"[bold]{title}[/]") as status:
                log.status = status
                yield log
            log.ok = True
        finally:
            log.status = None
            log.seconds = time.monotonic() - began
            mark = "[green]ok[/]  " if log.ok else "[red]FAIL[/]"
            self.console.print(f"{mark} {log.seconds:7.2f} s  [bold]{title}[/]")
            for text in log.notes:
                self.console.print(f"                [dim]{text}[/]", highlight=False)

    def summary(self) -> None:
        """The closing table of step times and what happened."""
        table = Table(title="What happened", show_lines=False)
        table.add_column("#", justify="right")
        table.add_column("step")
        table.add_column("seconds", justify="right")
        table.add_column("what happened", overflow="fold")
        for number, log in enumerate(self.steps, 1):
            style = None if log.ok else "red"
            table.add_row(str(number), log.title, f"{log.seconds:.2f}", "\n".join(log.notes), style=style)
        table.add_row("", "in all", f"{time.monotonic() - self._began:.2f}", "")
        self.console.print(table)
