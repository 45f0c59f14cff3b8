"""Brings the private Python environment of a checkout: uv from the package index, then the pinned requirements."""

from __future__ import annotations

import fcntl
import hashlib
import importlib.util
import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tools import pip_settings, system_packages
from tools.failure import HOST_NOT_READY, Failure
from tools.paths import PRIVATE, ROOT, UV, UV_HOME, VENV, VENV_PYTHON, shown

PINNED_UV = ROOT / "requirements-uv.txt"
PINNED = (ROOT / "requirements.txt", ROOT / "requirements-dev.txt")
_SOURCES = (PINNED_UV, *PINNED, Path(__file__), Path(pip_settings.__file__))
_STAMP = PRIVATE / "stamp"


def ensure() -> None:
    """Make `.dev/venv` match the pinned requirements; returns at once when it already does."""
    if _up_to_date():
        return
    PRIVATE.mkdir(exist_ok=True)
    with _alone():
        if _up_to_date():
            return
        started = time.monotonic()
        uv = ensure_uv()
        _make_venv(uv)
        _sync(uv)
        _put_checkout_on_path()
        _write_command()
        _STAMP.write_text(_wanted_stamp())
        say(f"environment ready in {time.monotonic() - started:.1f} s ({shown(VENV)})")


def say(text: str) -> None:
    """One line about what the set-up does, on standard error so that results stay alone on standard output."""
    print(f"dev: {text}", file=sys.stderr, flush=True)


def _wanted_stamp() -> str:
    digest = hashlib.sha256(f"{sys.version}\n{sys.base_prefix}\n{ROOT}\n".encode())
    for source in _SOURCES:
        digest.update(source.read_bytes())
    return digest.hexdigest()


def _up_to_date() -> bool:
    try:
        return _STAMP.read_text() == _wanted_stamp() and VENV_PYTHON.exists()
    except FileNotFoundError:
        return False


@contextmanager
def _alone() -> Iterator[None]:
    """Two commands started together set up once: the second waits, then finds the work done."""
    with (PRIVATE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def ensure_uv() -> Path:
    """The pinned uv in `.dev/uv`, installed by pip with its hash checked."""
    mark = UV_HOME / "pinned"
    wanted = hashlib.sha256(PINNED_UV.read_bytes()).hexdigest()
    if UV.exists() and mark.exists() and mark.read_text() == wanted:
        return UV
    say("bringing uv from the package index")
    shutil.rmtree(UV_HOME, ignore_errors=True)
    options = [
        "--quiet",
        "--no-input",
        "--no-deps",
        "--root-user-action=ignore",
        "--only-binary",
        ":all:",
        "--require-hashes",
    ]
    command = [*_pip(), "install", *options, "--target", str(UV_HOME), "-r", str(PINNED_UV)]
    _run(command, "pip could not install uv", env=_pip_environment())
    mark.write_text(wanted)
    return UV


def _pip() -> list[str]:
    """A pip that works: the host's, else one made by ensurepip, else one that apt-get installs."""
    if importlib.util.find_spec("pip") is not None:
        return [sys.executable, "-m", "pip"]
    if importlib.util.find_spec("ensurepip") is None:
        system_packages.install_or_stop(["python3-venv", "python3-pip"], "pip is missing")
        return [sys.executable, "-m", "pip"]
    home = PRIVATE / "pip"
    if not (home / "bin" / "python").exists():
        made = subprocess.run([sys.executable, "-m", "venv", "--clear", str(home)], check=False)
        if made.returncode != 0:
            shutil.rmtree(home, ignore_errors=True)
            # Debian ships `ensurepip` in pieces: the module may be there while its wheels are not.
            system_packages.install_or_stop(["python3-venv", "python3-pip"], "pip is missing")
            return [sys.executable, "-m", "pip"]
    return [str(home / "bin" / "python"), "-m", "pip"]


def _pip_environment() -> dict[str, str]:
    """The caller's settings, less those that fight with an install into a folder of our own."""
    silent = {"PIP_USER": "0", "PIP_REQUIRE_VIRTUALENV": "0", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    return {**os.environ, **silent}


def uv_environment() -> dict[str, str]:
    """Environment for uv: the caller's own, with pip's settings where uv has none."""
    settings = pip_settings.read(_pip(), _pip_environment())
    private = {"UV_PYTHON_DOWNLOADS": "never", "UV_NO_PROGRESS": "1", "VIRTUAL_ENV": str(VENV)}
    return {**os.environ, **pip_settings.for_uv(settings, os.environ), **private}


def _make_venv(uv: Path) -> None:
    """A fresh environment when there is none, or when the one there was made by another Python or elsewhere."""
    origin = VENV / "made-by"
    wanted = f"{sys.version}\n{sys.base_prefix}\n{ROOT}\n"
    if VENV_PYTHON.exists() and origin.exists() and origin.read_text() == wanted:
        return
    shutil.rmtree(VENV, ignore_errors=True)
    base = getattr(sys, "_base_executable", sys.executable)
    command = [str(uv), "venv", "--quiet", "--no-project", "--python", base, str(VENV)]
    _run(command, "uv could not make the environment", env=uv_environment())
    origin.write_text(wanted)


def _sync(uv: Path) -> None:
    say("installing the pinned requirements")
    command = [
        str(uv),
        "pip",
        "sync",
        "--quiet",
        "--require-hashes",
        "--no-build",
        "--python",
        str(VENV_PYTHON),
    ]
    _run([*command, *map(str, PINNED)], "uv could not install the requirements", env=uv_environment())


def _put_checkout_on_path() -> None:
    """Make the checkout importable from everywhere, also in child processes, without building a package."""
    for packages in (VENV / "lib").glob("python3.*/site-packages"):
        (packages / "poolwright-checkout.pth").write_text(f"{ROOT}\n")


def _write_command() -> None:
    """`.dev/venv/bin/poolwright`, as an installed package has it: a path to paste into any shell."""
    script = VENV_PYTHON.with_name("poolwright")
    script.write_text(f'#!/bin/sh\nexec {shlex.quote(str(VENV_PYTHON))} -P -m poolwright.cli "$@"\n')
    script.chmod(0o755)


def lock() -> None:
    """Compile every requirements*.in again: newest allowed versions, all platforms, with hashes."""
    with _alone():
        uv = ensure_uv()
        environment = _lock_environment()
        for name in ("requirements-uv", "requirements", "requirements-dev", "requirements-older-sdk"):
            command = [str(uv), "pip", "compile", "--quiet", "--upgrade", "--universal", "--generate-hashes"]
            command += [
                "--no-emit-index-url",
                "--no-emit-find-links",
                "--no-header",
                "--python-version",
                "3.11",
            ]
            command += [f"{name}.in", "--output-file", f"{name}.txt"]
            _run(command, f"uv could not compile {name}.in", env=environment)
            say(f"wrote {name}.txt")


def _lock_environment() -> dict[str, str]:
    """Local folders of wheels hold a few platforms only; hashes must cover all, so only the main index counts."""
    environment = uv_environment()
    for name in ("UV_INDEX", "UV_EXTRA_INDEX_URL", "UV_FIND_LINKS", "UV_INDEX_STRATEGY"):
        environment.pop(name, None)
    return environment


def _run(command: Sequence[str], complaint: str, env: dict[str, str]) -> None:
    done = subprocess.run(command, cwd=ROOT, env=env, stdin=subprocess.DEVNULL, check=False)
    if done.returncode != 0:
        raise Failure(f"{complaint} (exit code {done.returncode}; its own words are above)", HOST_NOT_READY)
