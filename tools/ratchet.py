"""Sizes and duplicates that may only shrink. What is too large today is in ratchet.json; nothing joins it unseen."""

from __future__ import annotations

import ast
import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from tools import duplicates
from tools.paths import ROOT, shown, written_by_hand

MODULE_LINES = 400
MODULE_LINES_AT_MOST = 600
"""No record allows a module longer than this."""
FUNCTION_LINES = 60

_RECORD = ROOT / "tools" / "ratchet.json"


@dataclass(frozen=True, slots=True)
class Sizes:
    """Lines by module path and by `path::qualified.name` of a function, and the number of duplicated blocks."""

    modules: Mapping[str, int]
    functions: Mapping[str, int]
    duplicates: int


def measured() -> Sizes:
    """What is above the limits now."""
    modules: dict[str, int] = {}
    functions: dict[str, int] = {}
    for file in written_by_hand():
        text = file.read_text()
        lines = len(text.splitlines())
        if lines > MODULE_LINES:
            modules[shown(file)] = lines
        for name, length in _functions(ast.parse(text, str(file)), ""):
            if length > FUNCTION_LINES:
                functions[f"{shown(file)}::{name}"] = length
    return Sizes(modules, functions, len(duplicates.blocks(written_by_hand())))


def _functions(node: ast.AST, prefix: str) -> Iterator[tuple[str, int]]:
    for child in ast.iter_child_nodes(node):
        name = prefix
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            name = f"{prefix}{child.name}"
            if not isinstance(child, ast.ClassDef):
                yield name, (child.end_lineno or child.lineno) - child.lineno + 1
            name += "."
        yield from _functions(child, name)


def recorded() -> Sizes:
    """What ratchet.json allows."""
    content = json.loads(_RECORD.read_text())
    return Sizes(content["modules"], content["functions"], content["duplicates"])


def problems() -> list[str]:
    """Everything that is larger than its limit and its record."""
    return compare(measured(), recorded())


def compare(now: Sizes, allowed: Sizes) -> list[str]:
    """What has grown from `allowed` to `now`, one line each."""
    found = []
    for path, lines in now.modules.items():
        limit = min(allowed.modules.get(path, MODULE_LINES), MODULE_LINES_AT_MOST)
        if lines > limit:
            found.append(f"{path}: {lines} lines, at most {limit}: split it by reason to change")
    for name, lines in now.functions.items():
        limit = allowed.functions.get(name, FUNCTION_LINES)
        if lines > limit:
            found.append(f"{name}: {lines} lines, at most {limit}: name its parts")
    if now.duplicates > allowed.duplicates:
        found.append(f"duplicated blocks: {now.duplicates}, at most {allowed.duplicates}:")
        found += [f"  {block}" for block in duplicates.blocks(written_by_hand())]
    return found


def tighten() -> list[str]:
    """Write down every size that has shrunk; returns a line for each change."""
    now, allowed = measured(), recorded()
    modules = {
        path: min(lines, now.modules[path]) for path, lines in allowed.modules.items() if path in now.modules
    }
    functions = {
        name: min(lines, now.functions[name])
        for name, lines in allowed.functions.items()
        if name in now.functions
    }
    tighter = Sizes(modules, functions, min(now.duplicates, allowed.duplicates))
    if tighter == allowed:
        return []
    _write(tighter)
    return ["tightened tools/ratchet.json"]


def accept() -> list[str]:
    """Write down today's sizes, larger ones too. For a person who can say why, in the commit."""
    now = measured()
    _write(now)
    return [
        f"recorded {len(now.modules)} modules, {len(now.functions)} functions, {now.duplicates} duplicated blocks"
    ]


def _write(sizes: Sizes) -> None:
    content = {"modules": sizes.modules, "functions": sizes.functions, "duplicates": sizes.duplicates}
    _RECORD.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n")


if __name__ == "__main__":
    lines = accept() if sys.argv[1:] == ["--accept"] else problems()
    print("\n".join(lines))
