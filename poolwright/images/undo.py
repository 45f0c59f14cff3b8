"""The reverter: every step of a multi-step action registers how to take it back.

    with Undo() as undo:
        make_a()
        undo.push("remove a", remove_a)
        make_b()
        undo.push("remove b", remove_b)
        undo.commit()

Leaving the block without ``commit`` runs the registered steps in reverse order, whatever the reason.
"""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Self


class Undo:
    def __init__(self) -> None:
        self._steps: list[tuple[str, Callable[[], object]]] = []

    def push(self, what: str, step: Callable[[], object]) -> None:
        """Register ``step``, called ``what`` in messages, to be run unless the action commits."""
        self._steps.append((what, step))

    def commit(self) -> None:
        """The action is done: forget all steps."""
        self._steps.clear()

    def rollback(self) -> list[Exception]:
        """Run all steps in reverse, each once, and return what went wrong."""
        errors: list[Exception] = []
        while self._steps:
            what, step = self._steps.pop()
            try:
                step()
            except Exception as error:  # noqa: BLE001 - the other steps must run
                error.add_note(f"while undoing: {what}")
                errors.append(error)
        return errors

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        errors = self.rollback()
        if not errors:
            return
        if exc is None:
            raise ExceptionGroup("an abandoned action could not be taken back", errors)
        # The first failure is what the caller must see; what undoing met is told beside it.
        for error in errors:
            exc.add_note(f"undoing failed too: {error!r} ({'; '.join(error.__notes__)})")
