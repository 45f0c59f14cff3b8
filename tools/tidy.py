"""House rules that no general linter knows, over every text file of the checkout."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

from tools.paths import ROOT, python_files, shown

_UNNUMBERED = re.compile(r"\b(?:TODO|FIXME|XXX|HACK)\b(?!\(#\d+\))")
_HOME = re.compile(r"(?<![\w.}])/(?:home|Users)/[a-z]\w*/|(?<![\w.}])/[r]oot/")
_INDEX = re.compile(
    # The classes of one letter let this file pass its own check.
    r"\bp[y]pi\.org\b|python[h]osted\.org\b|registry\.[n]pmjs|\b(?:deb|security|ftp)\.[d]ebian\.org\b|"
    r"\barchive\.[u]buntu\.com\b",
    re.IGNORECASE,
)
_INDEX_OPTION = re.compile(r"^\s*--?(?:index-url|extra-index-url|find-links|i|f)\b", re.MULTILINE)
_SHORT_PATH = 4
_COMMON_PLACES = {"/root", "/home", "/tmp", "/usr/src"}
"""Where a checkout may lie without its place being a secret of anybody."""
_WAITING = "tests/support/"
"""The one place of the tests that may sleep, between two looks at a condition."""

Rule = Callable[[str, str], Iterator[tuple[int, str]]]


def problems() -> list[str]:
    """Every breach as `path:line: what is wrong`."""
    found = []
    for file in _text_files():
        text = _text(file)
        for rule in RULES:
            found += [f"{shown(file)}:{line}: {what}" for line, what in rule(shown(file), text)]
    for file in python_files():
        if shown(file).startswith("tests/") and not shown(file).startswith(_WAITING):
            found += [f"{shown(file)}:{line}: {what}" for line, what in sleeps(file.read_text())]
    return sorted(found)


def _text_files() -> list[Path]:
    """Files that git has or would take; all files where there is no git."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode == 0:
        paths = [ROOT / name for name in listed.stdout.split("\0") if name]
    else:
        paths = [
            path for path in ROOT.rglob("*") if ".dev" not in path.parts and "__pycache__" not in path.parts
        ]
    return sorted(path for path in paths if path.is_file() and not path.is_symlink())


def _text(file: Path) -> str:
    content = file.read_bytes()
    return "" if b"\0" in content[:8192] else content.decode("utf-8", "replace")


def _matches(pattern: re.Pattern[str], text: str, what: str) -> Iterator[tuple[int, str]]:
    for match in pattern.finditer(text):
        yield text.count("\n", 0, match.start()) + 1, what.format(match.group().strip())


def unnumbered(path: str, text: str) -> Iterator[tuple[int, str]]:
    """Work left open without the number of its issue."""
    if path != shown(Path(__file__)):
        yield from _matches(_UNNUMBERED, text, "{0}: name its issue, as in {0}(#12)")


def places(_: str, text: str) -> Iterator[tuple[int, str]]:
    """Names of the machine that the code was written on."""
    yield from _matches(_HOME, text, "{}: the path of somebody's home")
    for place in {str(ROOT), str(ROOT.parent), str(Path.home())} - _COMMON_PLACES:
        if len(place) > _SHORT_PATH:
            pattern = re.compile(rf"(?<![\w.}}]){re.escape(place)}(?![\w-])")
            yield from _matches(pattern, text, "{}: the path of this very machine")


def indexes(path: str, text: str) -> Iterator[tuple[int, str]]:
    """Where packages come from is the host's business."""
    yield from _matches(_INDEX, text, "{}: the host of a package index")
    if Path(path).name.startswith("requirements"):
        yield from _matches(_INDEX_OPTION, text, "{}: the place of a package index")


RULES: tuple[Rule, ...] = (unnumbered, places, indexes)


def sleeps(source: str) -> Iterator[tuple[int, str]]:
    """Calls that let time pass: a test waits for a condition instead. `asyncio.sleep(0)` only yields."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call) or ast.unparse(node.func) not in (
            "time.sleep",
            "asyncio.sleep",
            "sleep",
        ):
            continue
        if not (node.args and isinstance(node.args[0], ast.Constant) and node.args[0].value == 0):
            yield node.lineno, f"{ast.unparse(node)}: use wait_until of tests.support.waiting"
