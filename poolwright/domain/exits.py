"""Exit conditions: what a caller says the ends of a task are to lead to. `task_ends.py` says what they do lead to."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ExitOptions:
    """What one sort of end leads to; None: what is usual for it."""

    job_action: str | None = None  # "none" | "disable" | "terminate"
    dependency_action: str | None = None  # "satisfy" | "block"


@dataclass(frozen=True, slots=True)
class ExitConditions:
    """Options by exit code, by range of exit codes (first, last, both included), and by sort of failure."""

    codes: tuple[tuple[int, ExitOptions], ...] = ()
    ranges: tuple[tuple[int, int, ExitOptions], ...] = ()
    pre_processing: ExitOptions | None = None
    file_upload: ExitOptions | None = None
    default: ExitOptions | None = None

    @property
    def job_actions(self) -> bool:
        """Whether any of the options names a job action."""
        named = [options for _, options in self.codes] + [options for _, _, options in self.ranges]
        named += [o for o in (self.pre_processing, self.file_upload, self.default) if o is not None]
        return any(options.job_action is not None for options in named)
