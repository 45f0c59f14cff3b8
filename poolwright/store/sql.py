"""Named SQL statements, one file a noun in `queries/`.

A file holds statements, each under a line `-- name: xxx`. A part under `-- fragment: xxx` may be used in the
statements of the same file as `{xxx}`. Other comment lines belong to the reader.
"""

from __future__ import annotations

import re
from importlib import resources

_HEADER = re.compile(r"^-- (name|fragment): (\w+)\s*$")


def parse(text: str) -> dict[str, str]:
    """The statements of one file by name. Raises ValueError for a repeated name or text before the first header."""
    parts: dict[tuple[str, str], list[str]] = {}
    current: list[str] | None = None
    for line in text.splitlines():
        header = _HEADER.match(line)
        if header:
            key = (header[1], header[2])
            if key in parts:
                raise ValueError(f"{header[1]} {header[2]!r} appears twice")
            current = parts[key] = []
        elif line.startswith("--") or not line.strip():
            continue
        elif current is None:
            raise ValueError(f"statement without a name: {line!r}")
        else:
            current.append(line)
    fragments = {name: "\n".join(lines) for (kind, name), lines in parts.items() if kind == "fragment"}
    statements = {}
    for (kind, name), lines in parts.items():
        if kind == "name":
            statement = "\n".join(lines)
            for fragment, value in fragments.items():
                statement = statement.replace("{" + fragment + "}", value)
            statements[name] = statement
    return statements


def load(noun: str) -> dict[str, str]:
    """The statements of `queries/<noun>.sql`."""
    return parse((resources.files("poolwright.store") / "queries" / f"{noun}.sql").read_text("utf-8"))
