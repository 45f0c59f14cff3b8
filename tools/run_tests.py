"""`./dev test`: what keeps the cores busy, then what starts services and mostly waits; one closing line for all."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path

from tools import system_packages
from tools.failure import Failure
from tools.paths import PRIVATE, REPORTS, ROOT, VENV_PYTHON

TESTS = ROOT / "tests"
AREAS = ("unit", "contract", "wire", "sim", "e2e", "portal")
_ON_THE_HOST = ("contract", "wire", "e2e", "portal")
"""Areas whose tests use system programs."""
_WORKERS = "2"
_WORKERS_OF_SERVICES = "3"
"""Services wait more than they compute."""
_NO_TESTS = 5
"""pytest's exit code when it found no test to run."""


@dataclass(slots=True)
class Counts:
    """Tests by how they ended; an error counts as failed."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0

    def add(self, other: Counts) -> None:
        """Take the counts of another run in."""
        for item in fields(self):
            setattr(self, item.name, getattr(self, item.name) + getattr(other, item.name))


@dataclass(slots=True)
class Request:
    """What the caller asked for: areas, paths, and options handed on to pytest."""

    areas: list[str] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    options: list[str] = field(default_factory=list)

    def targets(self) -> list[str]:
        """What pytest collects from."""
        return [str(TESTS / area) for area in self.areas if has_tests(area)] + self.paths


def understood(arguments: Sequence[str]) -> Request:
    """Sort the words of the command line; none that names a place means every area.

    The first word that begins with a dash begins the options, which pytest judges. Raises Failure for a word before
    them that is neither an area nor a path.
    """
    request = Request()
    for position, word in enumerate(arguments):
        if word.startswith("-"):
            request.options = list(arguments[position:])
            break
        if word in AREAS:
            request.areas.append(word)
        elif (place := _place(word)) is not None:
            request.paths.append(place)
        else:
            raise Failure(f"{word!r} is neither a path nor one of the areas {', '.join(AREAS)}", 2)
    if not (request.areas or request.paths):
        request.areas = list(AREAS)
    return request


def _place(word: str) -> str | None:
    """A path or node id below the caller's directory, the checkout or its tests, made absolute."""
    path, colons, name = word.partition("::")
    for base in (Path.cwd(), ROOT, TESTS):
        if (base / path).exists():
            return f"{(base / path).resolve()}{colons}{name}"
    return None


def has_tests(area: str) -> bool:
    """Whether the area's folder holds a test module."""
    return any((TESTS / area).rglob("test_*.py"))


def run(request: Request) -> int:
    """Run what was asked for; 0 when something ran and all of it passed."""
    started = time.monotonic()
    for area in request.areas:
        if not has_tests(area):
            print(f"test: no tests in tests/{area} yet")
    if not request.targets():
        print("test: nothing to run")
        return 0
    if request.paths or set(request.areas) & set(_ON_THE_HOST):
        system_packages.ensure()
    counts, codes = Counts(), []
    for name, extra, targets in passes(request):
        code, some = _pytest(name, [*request.options, *extra, *targets])
        counts.add(some)
        codes.append(code)
        if code not in (0, _NO_TESTS) and "-x" in request.options:
            break
    bad = [code for code in codes if code not in (0, _NO_TESTS)]
    nothing_ran = not bad and set(codes) <= {_NO_TESTS}
    print(f"test: {time.monotonic() - started:.1f} s in all")
    if nothing_ran:
        print("test: no test was run, which proves nothing", file=sys.stderr)
    sys.stderr.flush()
    print(f"{counts.passed} passed, {counts.failed} failed, {counts.skipped} skipped", flush=True)
    return bad[0] if bad else _NO_TESTS if nothing_ran else 0


def passes(request: Request) -> Iterator[tuple[str, list[str], list[str]]]:
    """The pytest runs to make, each with its options and with the targets that have something for it."""
    if targets := _with(request, lambda module: not _starts_services(module)):
        own = marked(request.options, "not services")
        yield "together", ["-m", own, *_spread(request, targets, _WORKERS)], targets
    if targets := _with(request, _starts_services):
        own = marked(request.options, "services")
        yield "services", ["-m", own, *_spread(request, targets, _WORKERS_OF_SERVICES)], targets


def _with(request: Request, wanted: Callable[[Path], bool]) -> list[str]:
    return [target for target in request.targets() if any(map(wanted, _modules(target)))]


def _starts_services(module: Path) -> bool:
    """As the marker `services` (tests/conftest.py)."""
    return module.is_relative_to(TESTS / "e2e")


def marked(options: Sequence[str], own: str) -> str:
    """The expression for pytest's `-m` (the last one counts): our own and, where given, the caller's."""
    given = [options[at + 1] for at, option in enumerate(options[:-1]) if option == "-m"]
    return " and ".join(f"({expression})" for expression in [*given[-1:], own])


def _spread(request: Request, targets: Sequence[str], workers: str) -> list[str]:
    """Workers cost a second to start: a few modules are quicker without, and a debugger needs the terminal."""
    chosen = {"-n", "--pdb", "-s", "--collect-only", "--co"} & set(request.options)
    modules = [module for target in targets for module in _modules(target)]
    return [] if chosen or len(modules) < 4 else ["-n", workers, "--dist", "worksteal"]


def _modules(target: str) -> list[Path]:
    path = Path(target.partition("::")[0])
    return sorted(path.rglob("test_*.py")) if path.is_dir() else [path]


def _pytest(name: str, arguments: Sequence[str]) -> tuple[int, Counts]:
    REPORTS.mkdir(parents=True, exist_ok=True)
    report = REPORTS / f"{name}-{os.getpid()}.xml"
    own = ["--rootdir", str(ROOT), "-c", str(ROOT / "pyproject.toml"), "--junit-xml", str(report)]
    environment = {**os.environ, "HYPOTHESIS_STORAGE_DIRECTORY": str(PRIVATE / "h")}
    command = [str(VENV_PYTHON), "-P", "-m", "pytest", "-q", "--durations=10", "--durations-min=2", *own]
    print(f"test: {name}", flush=True)
    code = subprocess.run([*command, *arguments], env=environment, check=False).returncode
    try:
        return code, counted(report)
    finally:
        report.unlink(missing_ok=True)


def counted(report: Path) -> Counts:
    """Sums from pytest's JUnit report; nothing when the run ended before it could write one."""
    if not report.exists():
        return Counts()
    counts = Counts()
    for suite in ET.parse(report).getroot().iter("testsuite"):
        total, skipped = int(suite.get("tests", "0")), int(suite.get("skipped", "0"))
        failed = int(suite.get("failures", "0")) + int(suite.get("errors", "0"))
        counts.add(Counts(max(0, total - failed - skipped), failed, skipped))
    return counts


def main(arguments: Sequence[str]) -> int:
    """Areas, paths and pytest options, as written after `./dev test`."""
    try:
        return run(understood(arguments))
    except Failure as failure:
        print(f"dev: {failure.message}", file=sys.stderr)
        return failure.code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
