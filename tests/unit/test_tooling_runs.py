"""What a test run says at its end, and how `./dev test` understands its words."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.leaks import MARK, Watch
from tests.support.waiting import wait_until, wait_until_async
from tools import run_tests
from tools.failure import Failure
from tools.paths import ROOT


def run_pytest(folder: Path, text: str, *options: str) -> subprocess.CompletedProcess[str]:
    """A pytest of its own, with our plugin, over one module."""
    (folder / "test_it.py").write_text(text)
    (folder / "pytest.ini").write_text("[pytest]\n")
    command = [sys.executable, "-m", "pytest", "-p", "tests.support.loud", "--rootdir", str(folder), *options]
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "POOLWRIGHT_LEAKS": "own",
        "POOLWRIGHT_LEAKS_SETTLE_S": "0.2",
    }
    environment.pop(MARK, None)  # what runs beside this test belongs to another run
    command += ["--basetemp", str(folder / "base"), "-p", "no:cacheprovider", str(folder)]
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=120
    )


@pytest.mark.parametrize("options", [(), ("-n", "1")], ids=["alone", "with a worker"])
def test_every_skip_is_listed_with_its_reason(tmp_path: Path, options: tuple[str, ...]) -> None:
    text = "import pytest\n\ndef test_a():\n    pytest.skip('no moon tonight')\n\ndef test_b():\n    pass\n"
    done = run_pytest(tmp_path, text, *options)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "test_it.py::test_a: no moon tonight" in done.stdout
    assert "1 skipped: no moon tonight" in done.stdout


def test_a_process_left_behind_fails_the_run_and_is_named(tmp_path: Path) -> None:
    text = (
        "import subprocess, sys\n\ndef test_a(tmp_path):\n"
        "    child = subprocess.Popen(['sleep', '120'], start_new_session=True)\n"
        "    child.returncode = 0\n"
        f"    open({str(tmp_path / 'pid')!r}, 'w').write(str(child.pid))\n"
        # Popen returns when the old program has let go of its memory, a moment before the new one has its environment
        "    while b'=' not in open(f'/proc/{child.pid}/environ', 'rb').read():\n        pass\n"
    )
    try:
        done = run_pytest(tmp_path, text)
    finally:
        os.kill(int((tmp_path / "pid").read_text()), signal.SIGKILL)
    assert done.returncode == 1, done.stdout + done.stderr
    assert f"LEAKED process: {(tmp_path / 'pid').read_text()} sleep 120" in done.stdout


@pytest.mark.parametrize(("watcher", "ours"), [("run", 2), ("run.gw1", 1), ("run.gw10", 0)])
def test_a_run_sees_what_its_workers_start_and_a_worker_only_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, watcher: str, ours: int
) -> None:
    mark = f"{tmp_path.name}-{watcher}"
    monkeypatch.setenv(MARK, mark)
    watch = Watch(tmp_path, strict=False)
    children = [
        subprocess.Popen(["sleep", "120"], env={MARK: f"{tmp_path.name}-{one}"})
        for one in ("run.gw0", "run.gw1", "runner")
    ]
    try:
        wait_until(lambda: all(begun(child.pid) for child in children), 30, "they do not begin")
        assert [thing.kind for thing in watch.leaks(0).ours] == ["process"] * ours
    finally:
        for child in children:
            child.kill()
            child.wait()


def begun(pid: int) -> bool:
    """Whether a new process has its own environment already."""
    return MARK.encode() in Path(f"/proc/{pid}/environ").read_bytes()


def test_a_worker_marks_what_it_starts_with_its_name(tmp_path: Path) -> None:
    text = f"import os\n\ndef test_a():\n    assert os.environ[{MARK!r}].endswith('.gw0')\n"
    done = run_pytest(tmp_path, text, "-n", "1")
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_process_in_the_folder_counts_though_its_environment_is_empty(tmp_path: Path) -> None:
    watch = Watch(tmp_path, strict=False)
    with subprocess.Popen(["sleep", "120"], cwd=tmp_path, env={}) as child:
        try:
            assert [thing.kind for thing in watch.leaks(0).ours] == ["process"]
        finally:
            child.kill()
    assert watch.leaks().ours == []


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting takes root")
def test_a_mount_in_the_folder_counts_until_it_is_gone(tmp_path: Path) -> None:
    watch = Watch(tmp_path, strict=False)
    place = tmp_path / "mounted"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "none", str(place)], check=True)
    try:
        assert [(thing.kind, thing.name) for thing in watch.leaks(0).ours] == [("mount", str(place))]
    finally:
        subprocess.run(["umount", str(place)], check=True)
    assert watch.leaks(0).ours == []


def test_waiting_ends_with_the_condition_or_tells_the_state() -> None:
    looks: list[int] = []

    def third() -> bool:
        looks.append(1)
        return len(looks) == 3

    wait_until(third, 10, "never")
    assert len(looks) == 3
    with pytest.raises(AssertionError, match="not within 0 s: still 3 looks"):
        wait_until(lambda: False, 0, lambda: f"still {len(looks)} looks")


async def test_waiting_in_a_coroutine() -> None:
    looks: list[int] = []

    async def third() -> bool:
        looks.append(1)
        return len(looks) == 3

    await wait_until_async(third, 10, "never")
    assert len(looks) == 3


def test_words_are_areas_paths_then_options() -> None:
    request = run_tests.understood(["unit", "tests/conftest.py", "-k", "wire"])
    assert request.areas == ["unit"]
    assert request.paths == [str(ROOT / "tests" / "conftest.py")]
    assert request.options == ["-k", "wire"]


def test_no_place_means_every_area() -> None:
    assert run_tests.understood(["-x"]).areas == list(run_tests.AREAS)


def test_a_word_that_is_nothing_is_refused() -> None:
    with pytest.raises(Failure, match="'unti' is neither a path nor one of the areas"):
        run_tests.understood(["unti"])


def of(*words: str) -> dict[str, list[str]]:
    """What each pass of a run collects from."""
    return {name: targets for name, _, targets in run_tests.passes(run_tests.understood(words))}


def test_each_pass_collects_only_where_it_has_tests() -> None:
    assert list(of()) == ["together", "services"]
    assert of()["services"] == [str(ROOT / "tests" / "e2e")]
    assert str(ROOT / "tests" / "e2e") not in of()["together"]
    assert list(of("unit/test_exits.py")) == ["together"]
    assert list(of("e2e/service/test_pools.py::test_start_tasks")) == ["services"]
    both = of("unit/test_exits.py", "e2e/service/test_story.py")
    assert [len(targets) for targets in both.values()] == [1, 1]


def test_a_folder_without_tests_proves_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    assert run_tests.run(run_tests.understood(["support"])) != 0
    assert "no test was run" in capfd.readouterr().err


def test_errors_of_a_report_count_as_failed(tmp_path: Path) -> None:
    report = tmp_path / "report.xml"
    report.write_text('<testsuites><testsuite tests="9" failures="2" errors="1" skipped="3"/></testsuites>')
    assert run_tests.counted(report) == run_tests.Counts(passed=3, failed=3, skipped=3)


def test_a_run_that_died_counts_nothing(tmp_path: Path) -> None:
    assert run_tests.counted(tmp_path / "absent.xml") == run_tests.Counts()


def test_marks_of_the_caller_and_of_the_run_both_count() -> None:
    assert run_tests.marked(["-x"], "services") == "(services)"
    assert run_tests.marked(["-m", "slow", "-x"], "not services") == "(slow) and (not services)"
