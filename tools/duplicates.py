"""Finds blocks of code written twice: runs of equal lines, however they are indented or commented."""

from __future__ import annotations

import ast
import io
import tokenize
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tools.paths import shown

BLOCK_LINES = 8
"""Shorter runs are the shape of the language rather than a copied thought."""

_SILENT = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT}


@dataclass(frozen=True, slots=True)
class Line:
    """One line of code in its plain form, and where it stands (lines count from 1)."""

    number: int
    code: str


@dataclass(frozen=True, slots=True)
class Block:
    """The same code in two places: the first lines of each, and how many lines of code they share."""

    first: str
    second: str
    lines: int

    def __str__(self) -> str:
        return f"{self.first} = {self.second} ({self.lines} lines)"


def blocks(files: Iterable[Path]) -> list[Block]:
    """The longest equal runs of at least BLOCK_LINES lines; a place counts once for each earlier place it repeats."""
    return blocks_of({shown(file): code_lines(file.read_text()) for file in files})


def blocks_of(sources: dict[str, list[Line]]) -> list[Block]:
    """As `blocks`, for code lines by name of their file."""
    seen: dict[tuple[str, ...], list[tuple[str, int]]] = defaultdict(list)
    found: list[Block] = []
    for name, lines in sources.items():
        for start in range(len(lines) - BLOCK_LINES + 1):
            window = tuple(line.code for line in lines[start : start + BLOCK_LINES])
            for other, at in seen[window]:
                earlier = sources[other]
                starts_here = not start or not at or earlier[at - 1].code != lines[start - 1].code
                if starts_here and not (other == name and at + BLOCK_LINES > start):
                    length = _common(earlier[at:], lines[start:])
                    places = (f"{other}:{earlier[at].number}", f"{name}:{lines[start].number}")
                    found.append(Block(*places, length))
            seen[window].append((name, start))
    return found


def _common(first: list[Line], second: list[Line]) -> int:
    length = 0
    for one, two in zip(first, second, strict=False):
        if one.code != two.code:
            break
        length += 1
    return length


def code_lines(text: str) -> list[Line]:
    """Lines of code without comments, docstrings, imports, blank space and lines that only close brackets."""
    skipped = _silent_lines(ast.parse(text))
    by_line: dict[int, list[str]] = defaultdict(list)
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in _SILENT and token.start[0] not in skipped:
            by_line[token.start[0]].append(token.string)
    plain = [Line(number, " ".join(parts)) for number, parts in sorted(by_line.items())]
    return [line for line in plain if any(character.isalnum() for character in line.code)]


def _silent_lines(tree: ast.Module) -> set[int]:
    lines: set[int] = set()
    for node in ast.walk(tree):
        prose = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        if isinstance(node, ast.stmt) and (prose or isinstance(node, ast.Import | ast.ImportFrom)):
            lines.update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    return lines
