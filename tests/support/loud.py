"""Says at the end of a run what was skipped and why, and fails the run when something was left on the host."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest

from tests.support.leaks import MARK, Leaks, Watch

_WATCH = pytest.StashKey[Watch]()
_LEAKS = pytest.StashKey[Leaks]()
_TOLERATED = (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED, pytest.ExitCode.NO_TESTS_COLLECTED)


def _leads(config: pytest.Config) -> bool:
    """Whether this process leads the run, rather than being a worker of pytest-xdist."""
    return not hasattr(config, "workerinput")


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """Remember the host before the first test, and before workers inherit the environment.

    The host is compared once a run, by the process that leads it: what one worker makes and removes meanwhile says
    nothing about another.
    """
    worker = getattr(session.config, "workerinput", None)
    if worker is not None and MARK in os.environ:
        os.environ[MARK] += f".{worker['workerid']}"
    if _leads(session.config) and not session.config.option.collectonly:
        session.config.stash[_WATCH] = Watch(_base_folder(session.config))


def _base_folder(config: pytest.Config) -> Path:
    """The folder of this run that every `tmp_path` lies in, those of workers too."""
    factory: pytest.TempPathFactory = config._tmp_path_factory  # type: ignore[attr-defined]
    return factory.getbasetemp()


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Compare the host with what it was; a leak fails a run that had passed."""
    watch = session.config.stash.get(_WATCH, None)
    if watch is None:
        return
    leaks = watch.leaks()
    session.config.stash[_LEAKS] = leaks
    if leaks.ours and session.exitstatus in _TOLERATED:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """The skips with their reasons, then the leaks."""
    skips = [report for report in terminalreporter.stats.get("skipped", []) if hasattr(report, "longrepr")]
    if skips:
        terminalreporter.section("skipped, and why")
        for report in skips:
            terminalreporter.line(f"SKIPPED {report.nodeid}: {_reason(report.longrepr)}")
        reasons = Counter(_reason(report.longrepr) for report in skips)
        for reason, count in reasons.most_common():
            terminalreporter.line(f"{count} skipped: {reason}")
    leaks = config.stash.get(_LEAKS, None)
    if leaks and leaks.ours:
        terminalreporter.section("left behind on the host", red=True)
        for thing in leaks.ours:
            terminalreporter.line(f"LEAKED {thing.kind}: {thing.name}", red=True)
    if leaks and leaks.unclear:
        terminalreporter.section("new on the host, perhaps not from these tests")
        for thing in leaks.unclear:
            terminalreporter.line(f"{thing.kind}: {thing.name}")


def _reason(longrepr: object) -> str:
    """pytest gives a skip as (file, line, "Skipped: reason")."""
    text = str(longrepr[2]) if isinstance(longrepr, tuple) else str(longrepr)
    return text.removeprefix("Skipped: ") or "no reason given"
