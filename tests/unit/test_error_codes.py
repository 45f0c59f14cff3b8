"""Every public error code of the table is sent somewhere, or the specification says why it never is."""

from __future__ import annotations

import re
from pathlib import Path

from poolwright.domain import errors

ROOT = Path(__file__).parents[2]
_TABLE = Path(errors.__file__)
_NEVER = "## Public error codes that are never sent"


def quoted() -> set[str]:
    """The words in quotes in the program; of the module with the table, of what follows it."""
    generated = _TABLE.parents[1] / "wire" / "generated"
    found: set[str] = set()
    for path in _TABLE.parents[1].rglob("*.py"):
        if generated in path.parents:
            continue
        text = path.read_text()
        if path == _TABLE:
            text = text[text.index("\n}\n", text.index("CODES")) :]
        found.update(re.findall(r'"([A-Z]\w+)"', text))
    return found


def never_sent() -> set[str]:
    """The codes of the specification's table."""
    text = (ROOT / "docs" / "SPECIFICATION.md").read_text()
    section = text[text.index(_NEVER) + len(_NEVER) :].partition("\n## ")[0]
    rows = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    return {code for row in rows for code in re.findall(r"`(\w+)`", row)}


def test_each_code_is_sent_or_listed_as_never_sent() -> None:
    sent, never = quoted() & errors.CODES.keys(), never_sent()
    assert len(sent) > 50, "the program is read"
    assert errors.CODES.keys() - sent - never == set()
    assert sent & never == set(), "listed as never sent, and sent"
