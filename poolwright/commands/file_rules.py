"""What files of tasks may be, where the service's settings have a say."""

from __future__ import annotations

from collections.abc import Sequence

from poolwright.domain.errors import bad_property
from poolwright.domain.limits import Settings
from poolwright.domain.transfer import ResourceFile, Source


def check_linked(files: Sequence[ResourceFile], settings: Settings, name: str) -> None:
    """No file from linked storage when there is none. Raises InvalidPropertyValue (400)."""
    if settings.auto_storage:
        return
    for index, file in enumerate(files):
        if file.source is Source.AUTO_STORAGE:
            reason = "The account has no linked storage; the operator links one with `poolwright up --auto-storage`."
            raise bad_property(f"{name}[{index}].{file.source.value}", file.address, reason)
