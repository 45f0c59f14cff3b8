"""Small files of whole directories in one answer: what is kept of tasks whose machine is about to go."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

from poolwright.agent.files import PathError, Tree

#: What an entry costs besides its name and content.
_ENTRY_BYTES = 100


def gather(
    tree: Tree, directories: Sequence[str], files_max: int, file_max: int, bytes_max: int
) -> dict[str, list[dict[str, Any]]]:
    """The entries of each directory and of all below it, files of at most `file_max` bytes with their content in
    base64 (`data`). Of one directory at most `files_max` entries and `bytes_max` bytes are told; directories that are
    left out after as many bytes in all are to be asked for again. One that does not exist has no entries."""
    found: dict[str, list[dict[str, Any]]] = {}
    told = 0
    for directory in directories:
        if told >= bytes_max:
            break
        try:
            entries = tree.entries(directory, True, files_max, "")
        except PathError:
            entries = []
        left = bytes_max
        for entry in entries:
            left -= len(entry["name"]) + _ENTRY_BYTES
            if not entry["is_dir"] and entry["size"] <= min(file_max, left):
                left -= _add_content(tree, directory, entry, min(file_max, left))
        told += bytes_max - left
        found[directory] = entries
    return found


def _add_content(tree: Tree, directory: str, entry: dict[str, Any], most: int) -> int:
    """Read the file into its entry, unless that cannot be done or it is longer than it seemed. Its length."""
    try:
        data, size = tree.read(f"{directory}/{entry['name']}", 0, most)
    except (PathError, OSError):
        return 0
    if size > len(data):
        return 0
    entry["data"], entry["size"] = base64.b64encode(data).decode(), size
    return len(data)
