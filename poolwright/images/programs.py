"""Running the system programs the plane needs (e2fsprogs, util-linux, mmdebstrap, qemu-img)."""

from __future__ import annotations

import errno
import os
import re
import shutil
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from poolwright.images.base import BuildFailed, NoSpace, UnsupportedImage

PACKAGES = {
    "mmdebstrap": "mmdebstrap",
    "mke2fs": "e2fsprogs",
    "debugfs": "e2fsprogs",
    "e2fsck": "e2fsprogs",
    "resize2fs": "e2fsprogs",
    "blkid": "util-linux",
    "partx": "util-linux",
    "qemu-img": "qemu-utils",
    "setpriv": "util-linux",
    "unshare": "util-linux",
    "zstd": "zstd",
    "mount": "mount",
}
"""Debian and Ubuntu package of each program used."""
SEARCH_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""Administrators' programs are not on every user's PATH."""
TAIL_LINES = 40
MAX_LINE_CHARS = 1000
GUARD_POLL_S = 0.1
_FULL_TEXTS = (os.strerror(errno.ENOSPC), os.strerror(errno.EDQUOT))
_URL_USER = re.compile(r"(\w+://)[^/@\s]+@")


def find_program(name: str) -> str:
    """Its path; raises UnsupportedImage naming the package that has it."""
    found = shutil.which(name, path=SEARCH_PATH)
    if found is None:
        raise UnsupportedImage(
            f"the program {name!r} is missing: install the package {PACKAGES.get(name, name)!r}"
        )
    return found


def missing_packages(programs: Iterable[str]) -> list[str]:
    """Packages to install before ``programs`` can run, sorted."""
    return sorted({PACKAGES.get(p, p) for p in programs if shutil.which(p, path=SEARCH_PATH) is None})


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """A small, untranslated environment: nothing of the service's own (credentials) reaches a program."""
    return {"PATH": SEARCH_PATH, "LC_ALL": "C.UTF-8", "HOME": "/root", **(extra or {})}


def run(
    argv: Sequence[str], *, timeout_s: float, ok: Iterable[int] = (0,), pass_fds: Sequence[int] = ()
) -> str:
    """Run a short program and return its standard output; raises BuildFailed for other exit codes than ``ok``."""
    try:
        done = subprocess.run(
            [find_program(argv[0]), *argv[1:]],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            timeout=timeout_s,
            env=environment(),
            pass_fds=pass_fds,
        )
    except subprocess.TimeoutExpired as error:
        raise BuildFailed(argv[0], f"no end after {timeout_s:.0f} s") from error
    if done.returncode not in set(ok):
        raise BuildFailed(
            argv[0],
            clean((done.stderr + done.stdout).decode(errors="replace") or f"exit code {done.returncode}"),
        )
    return done.stdout.decode(errors="replace")


def read_bounded(argv: Sequence[str], *, limit: int, timeout_s: float, pass_fds: Sequence[int] = ()) -> bytes:
    """At most ``limit`` bytes of a program's standard output, whatever its exit code; what comes after is dropped."""
    with subprocess.Popen(
        [find_program(argv[0]), *argv[1:]],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment(),
        pass_fds=pass_fds,
    ) as process:
        guard = threading.Timer(timeout_s, process.kill)
        guard.daemon = True
        guard.start()
        try:
            assert process.stdout is not None
            return process.stdout.read(limit)
        finally:
            guard.cancel()
            process.kill()


def run_contained(
    argv: Sequence[str],
    *,
    step: str,
    timeout_s: float,
    on_line: Callable[[str], None],
    env: Mapping[str, str],
    stop: threading.Event,
    pass_fds: Sequence[int] = (),
) -> None:
    """Run a program that forks and mounts, so that nothing of it outlives this process, not even after ``kill -9``.

    It gets mount and pid namespaces of its own: when the first process of a pid namespace dies, the kernel kills the
    rest, and the last process takes the mounts along. The chain to this process is PR_SET_PDEATHSIG (prctl(2)), which
    fires when the calling *thread* ends; that thread waits here. Raises BuildFailed with the last lines, also when
    ``stop`` is set meanwhile.
    """
    chain = [find_program("setpriv"), "--pdeathsig", "KILL", find_program("unshare")]
    chain += ["--mount", "--pid", "--fork", "--kill-child=KILL", "--mount-proc", "--"]
    tail: deque[str] = deque(maxlen=TAIL_LINES)
    with subprocess.Popen(
        [*chain, find_program(argv[0]), *argv[1:]],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=environment(env),
        pass_fds=pass_fds,
    ) as process:
        guard = _Guard(process, timeout_s, stop)
        guard.start()
        try:
            assert process.stdout is not None
            while raw := process.stdout.readline(MAX_LINE_CHARS):
                line = clean(raw.decode(errors="replace").rstrip())
                if line:
                    tail.append(line)
                    on_line(line)
            code = process.wait()
        finally:
            guard.finish()
    if guard.reason:
        raise BuildFailed(step, "\n".join([*tail, guard.reason]))
    if code != 0:
        raise BuildFailed(step, "\n".join([*tail, f"exit code {code}"]))


class _Guard(threading.Thread):
    """Kills a process when its time is over or somebody wants it stopped; ``reason`` then says which."""

    def __init__(self, process: subprocess.Popen[bytes], timeout_s: float, stop: threading.Event) -> None:
        super().__init__(name="program-guard", daemon=True)
        self.reason = ""
        self._process, self._timeout_s, self._stop_wanted = process, timeout_s, stop
        self._finished = threading.Event()

    def run(self) -> None:
        deadline = time.monotonic() + self._timeout_s
        while not self._finished.wait(GUARD_POLL_S):
            if self._stop_wanted.is_set():
                self.reason = "stopped, because the service is ending"
            elif time.monotonic() >= deadline:
                self.reason = f"no end after {self._timeout_s:.0f} s"
            if self.reason:
                self._process.kill()
                return

    def finish(self) -> None:
        self._finished.set()
        self._process.kill()
        self.join()


def clean(text: str) -> str:
    """Program output without the user names and passwords a proxy or mirror address may hold."""
    lines = _URL_USER.sub(r"\1***@", text).splitlines()[-TAIL_LINES:]
    return "\n".join(line[:MAX_LINE_CHARS] for line in lines)


@contextmanager
def full_disk_errors(doing: str, where: Path) -> Iterator[None]:
    """Turn a full file system or a spent quota, met by this process or by a program it ran, into NoSpace."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise NoSpace(doing, where) from error
        raise
    except BuildFailed as error:
        if any(text in error.output for text in _FULL_TEXTS):
            raise NoSpace(doing, where) from error
        raise
