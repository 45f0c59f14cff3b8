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
    def job_action(self) -> tuple[str, str] | None:
        """Where the first of the options that names a job action stands, as callers write it, and the action."""
        named = [(f"exitCodes[{n}].exitOptions", options) for n, (_, options) in enumerate(self.codes)]
        named += [(f"exitCodeRanges[{n}].exitOptions", given[2]) for n, given in enumerate(self.ranges)]
        sorts = {
            "preProcessingError": self.pre_processing,
            "fileUploadError": self.file_upload,
            "default": self.default,
        }
        named += [(name, options) for name, options in sorts.items() if options is not None]
        return next(((f"{at}.jobAction", o.job_action) for at, o in named if o.job_action is not None), None)
