"""A contact sheet: many small frames on one page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PIL import Image


def contact_sheet(frames: Sequence[Path], target: Path, columns: int, gap: int = 4) -> Path:
    """Put the frames, in order, on one PNG with `columns` a row; returns its path. Raises OSError on a broken frame."""
    pictures = [Image.open(path).convert("RGB") for path in frames]
    width, height = pictures[0].size
    rows = -(-len(pictures) // columns)
    page = Image.new("RGB", (columns * (width + gap) + gap, rows * (height + gap) + gap), (24, 24, 28))
    for index, picture in enumerate(pictures):
        row, column = divmod(index, columns)
        page.paste(picture, (gap + column * (width + gap), gap + row * (height + gap)))
    page.save(target)
    return target
