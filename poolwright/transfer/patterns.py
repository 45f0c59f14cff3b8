"""The file patterns of output files: `*`, `?`, `[...]` inside one path part, `**` for any directories.

Rules of the public documentation: a name that begins with a dot is matched only where the pattern writes the dot;
`[!...]` negates; a special character stands for itself in brackets (`abc[*]`). No match is not an error.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_SPECIAL = re.compile(r"[*?\[]")
_VARIABLE = re.compile(r"\$(?:\{(\w+)\}|(\w+))|%(\w+)%")
ANY_DIRECTORIES = "**"


class BadPattern(Exception):
    """The pattern cannot be used; the message says why."""


def expand(pattern: str, variables: dict[str, str]) -> str:
    """`$NAME`, `${NAME}` and `%NAME%` replaced by the task's variables; unknown ones stay as they are written."""

    def value(match: re.Match[str]) -> str:
        name = match[1] or match[2] or match[3]
        return variables.get(name, match[0])

    return _VARIABLE.sub(value, pattern)


@dataclass(frozen=True, slots=True)
class Pattern:
    """A pattern, taken apart: names below `base` (a directory relative to the node's root) that fit `parts`."""

    base: str
    parts: tuple[str, ...]
    wild: bool


def parse(pattern: str, working_directory: str, root: str) -> Pattern:
    """Take a pattern apart; both directories are as the task sees them, without a slash at the end.

    Raises BadPattern when it leads out of the node's root directory.
    """
    absolute = pattern if pattern.startswith("/") else f"{working_directory}/{pattern}"
    parts: list[str] = []
    for part in absolute.split("/"):
        if part in ("", "."):
            continue
        if part != "..":
            parts.append(part)
        elif not parts or _SPECIAL.search(parts[-1]):
            raise BadPattern(f"{pattern}: '..' after a wildcard, or above the root")
        else:
            parts.pop()
    top = [part for part in root.split("/") if part]
    if parts[: len(top)] != top or len(parts) == len(top):
        raise BadPattern(f"{pattern}: only files below {root} can be uploaded")
    rest = parts[len(top) :]
    fixed = 0
    while fixed < len(rest) - 1 and not _SPECIAL.search(rest[fixed]):
        fixed += 1
    wild = any(_SPECIAL.search(part) for part in rest)
    return Pattern("/".join(rest[:fixed]), tuple(rest[fixed:]), wild)


def fits(part: str, name: str) -> bool:
    """Whether one name fits one part of a pattern (not `**`)."""
    if name.startswith(".") and not part.startswith("."):
        return False
    return _compiled(part).fullmatch(name) is not None


def _compiled(part: str) -> re.Pattern[str]:
    out: list[str] = []
    at = 0
    while at < len(part):
        char = part[at]
        at += 1
        if char == "*":
            out.append(".*")
        elif char == "?":
            out.append(".")
        elif char == "[":
            close = part.find("]", at + 2 if part[at : at + 1] == "!" else at + 1)
            if close < 0:
                out.append(r"\[")
                continue
            out.append(_set(part[at:close]))
            at = close + 1
        else:
            out.append(re.escape(char))
    return re.compile("".join(out), re.DOTALL)


def _set(inside: str) -> str:
    """A character set: ranges by `-`, everything else literally."""
    negated, members = inside.startswith("!"), inside.removeprefix("!")
    out: list[str] = []
    at = 0
    while at < len(members):
        first = members[at]
        if at + 2 < len(members) and members[at + 1] == "-":
            last = members[at + 2]
            if first <= last:
                out.append(f"{re.escape(first)}-{re.escape(last)}")
            at += 3
        else:
            out.append(re.escape(first))
            at += 1
    if not out:
        return "." if negated else "(?!)"
    return f"[{'^' if negated else ''}{''.join(out)}]"
