"""The command line without a service: exit codes, and where its words go."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from rich.console import Console

from poolwright import __version__
from poolwright.cli import app, autoscale, limits, openings


def poolwright(*arguments: str, data_dir: Path) -> subprocess.CompletedProcess[str]:
    """The program, with a default data directory of the test's own."""
    environment = {**os.environ, "POOLWRIGHT_DATA_DIR": str(data_dir), "COLUMNS": "200", "NO_COLOR": "1"}
    command = [sys.executable, "-m", "poolwright.cli", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)


def test_version(tmp_path: Path) -> None:
    done = poolwright("version", data_dir=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{__version__}\n", "")


@pytest.mark.parametrize(
    "arguments",
    [
        ("env",),
        ("explain", "pool", "p"),
        ("explain", "node", "p", "n"),
        ("explain", "task", "j", "t"),
        ("node", "preempt", "p", "n"),
        ("autoscale", "simulate", "p"),
    ],
)
def test_no_service_is_one_line_and_exit_code_1(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    done = poolwright(*arguments, data_dir=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        f"poolwright: {tmp_path}/credentials.json does not exist: "
        "is the service running with another --data-dir?\n"
    )


def test_ends_of_support_name_an_image_and_a_day() -> None:
    assert limits.read_ends(None) == ()
    assert limits.read_ends(["Debian:Debian-12:12=2028-06-30"]) == (
        ("debian:debian-12:12", 1_845_936_000_000_000),
    )
    for text in (
        "debian-12=2028-06-30",
        "debian:debian-12:12",
        "debian:debian-12:12=soon",
        "a:b:c=2028-02-30",
    ):
        with pytest.raises(typer.BadParameter, match="write it as"):
            limits.read_ends([text])


def test_down_with_nothing_there_leaves_nothing(tmp_path: Path) -> None:
    missing = tmp_path / "missing"
    done = poolwright("down", "--data-dir", str(missing), data_dir=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"nothing to stop: there is no data directory {missing}\n"
    assert not missing.exists()


@pytest.mark.parametrize("command", ["down", "env"])
def test_a_command_that_only_looks_at_a_data_directory_does_not_load_the_service(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.setenv(
        "PYTHONPROFILEIMPORTTIME", "1"
    )  # every module that is loaded is told on standard error
    loaded = poolwright(command, data_dir=tmp_path / "nothing").stderr
    assert "poolwright.serve." in loaded or command == "env"
    assert "poolwright.serve.house" not in loaded


def test_a_service_loads_the_clients_of_storage_only_where_there_is_storage() -> None:
    look = "import sys, poolwright.serve.running; print([name for name in sys.modules if name.startswith('azure')])"
    done = subprocess.run(
        [sys.executable, "-c", look], capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.stdout, done.stderr) == ("[]\n", "")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--port", "65536"), "'--port'"),
        (("--port", "http"), "'--port'"),
        (("--grace", "4"), "'--grace'"),
        (("--grace", "601"), "'--grace'"),
        (("--image-limit-dedicated", "-1"), "'--image-limit-dedicated'"),
        (("--log-level", "loud"), "'--log-level'"),
        (("--nonsense",), "--nonsense"),
    ],
)
def test_bad_options_of_up(tmp_path: Path, arguments: tuple[str, ...], said: str) -> None:
    done = poolwright("up", "--data-dir", str(tmp_path / "data"), *arguments, data_dir=tmp_path)
    assert done.returncode == 2
    assert "Usage: poolwright up" in done.stderr
    assert said in done.stderr
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("given", ["", "0", "65536", "80,", "http", "80;81"])
def test_ports_to_open_are_checked(given: str) -> None:
    with pytest.raises(typer.BadParameter, match="no port"):
        openings.ports(given)


def test_ports_to_open() -> None:
    assert openings.ports(None) == ()
    assert openings.ports("8080, 53,8080") == (53, 8080)


def test_codes_of_explanations_are_never_broken(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    row = {
        "code": "NeedsInterNodeCommunication",
        "message": "A task " * 30,
        "nextStep": "Point the job at such a pool.",
    }
    app.show_explanations({"value": [row]})
    assert capsys.readouterr().out.splitlines()[1].startswith("NeedsInterNodeCommunication ")


def test_times_of_a_replay_are_whole_in_a_narrow_terminal() -> None:
    step = {
        "timestamp": "2026-11-25T23:17:43.397727Z",
        "recorded": {"PendingTasks": 2},
        "targetDedicatedNodes": 3,
        "targetLowPriorityNodes": 0,
        "nodeDeallocationOption": "requeue",
    }
    console = Console(width=60, file=io.StringIO())
    console.print(autoscale.table_of([step]))
    assert "2026-11-25T23:17:43 " in console.file.getvalue()  # type: ignore[attr-defined]
