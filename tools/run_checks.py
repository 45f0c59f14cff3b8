"""`./dev check` and `./dev fmt`: independent checks side by side, then one line for each with its time."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tools import import_rules, ratchet, tidy
from tools.paths import CODE_FOLDERS, ROOT, TYPED_FOLDERS, VENV, code_folders

_BIN = VENV / "bin"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one check found: `text` is for the reader when it did not pass."""

    name: str
    seconds: float
    passed: bool
    text: str


def _tool(*command: str) -> tuple[bool, str]:
    done = subprocess.run(
        [str(_BIN / command[0]), *command[1:]],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return done.returncode == 0, done.stdout


def _folders() -> list[str]:
    return [folder.name for folder in code_folders()]


def _format() -> tuple[bool, str]:
    return _tool("ruff", "format", "--check", "--output-format", "concise", *_folders())


def _lint() -> tuple[bool, str]:
    return _tool("ruff", "check", "--quiet", "--output-format", "concise", *_folders())


def _types() -> tuple[bool, str]:
    return _tool("mypy", "--no-error-summary", *(name for name in _folders() if name in TYPED_FOLDERS))


def _listed(problems: Sequence[str]) -> tuple[bool, str]:
    return not problems, "\n".join(problems)


CHECKS: dict[str, Callable[[], tuple[bool, str]]] = {
    "types": _types,
    "imports": lambda: _listed(import_rules.problems()),
    "format": _format,
    "lint": _lint,
    "ratchets": lambda: _listed(ratchet.problems()),
    "tidy": lambda: _listed(tidy.problems()),
}
"""Longest first, so that the others run beside it."""


def _run(name: str) -> Outcome:
    started = time.monotonic()
    passed, text = CHECKS[name]()
    return Outcome(name, time.monotonic() - started, passed, text.strip())


def check(names: Sequence[str]) -> int:
    """Run the named checks (all when none is named); 0 when every one passes, 2 for a name that is none."""
    unknown = sorted(set(names) - CHECKS.keys())
    if unknown:
        print(f"check: no check {', '.join(unknown)}; there are: {', '.join(CHECKS)}", file=sys.stderr)
        return 2
    started = time.monotonic()
    with ThreadPoolExecutor(max_workers=max(2, os.cpu_count() or 2)) as pool:
        outcomes = list(pool.map(_run, names or CHECKS))
    for outcome in outcomes:
        if not outcome.passed:
            print(f"--- {outcome.name}\n{outcome.text}\n")
    for outcome in outcomes:
        print(f"{'ok    ' if outcome.passed else 'FAILED'} {outcome.name:<10} {outcome.seconds:6.1f} s")
    failed = [outcome.name for outcome in outcomes if not outcome.passed]
    verdict = f"failed: {', '.join(failed)}" if failed else "all passed"
    print(f"check: {verdict} in {time.monotonic() - started:.1f} s")
    return 1 if failed else 0


def fix(paths: Sequence[str]) -> int:
    """Format and correct what can be corrected safely, everywhere or in `paths`; 1 when a person must do the rest."""
    where = [str(Path(path).resolve()) for path in paths] or _folders()
    _tool("ruff", "check", "--quiet", "--fix-only", *where)
    formatted, format_text = _tool("ruff", "format", *where)
    print(format_text.strip())
    for line in ratchet.tighten():
        print(line)
    linted, lint_text = _tool("ruff", "check", "--quiet", "--output-format", "concise", *where)
    if not linted:
        print(lint_text.strip())
    return 0 if formatted and linted else 1


def main(arguments: Sequence[str]) -> int:
    """`--fix` with paths, or the names of checks."""
    if not _folders():
        print(f"check: no code in {', '.join(CODE_FOLDERS)}", file=sys.stderr)
        return 1
    return fix(arguments[1:]) if arguments[:1] == ["--fix"] else check(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
