"""Starting one execution inside a machine: directory, output files, identity, process.

The first process of a machine is single-threaded and starts programs with `posix_spawn`, which uses vfork: a
fork of Python costs several times as much. `posix_spawn` cannot change user, so the caller itself changes its
real and effective ids for the moment of the start and keeps 0 as saved id to come back; execve(2) gives the new
program the effective id as saved id too, so nothing of root is left in it.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shlex
import signal
import stat
from dataclasses import dataclass
from typing import Any

from poolwright.agent import tree
from poolwright.agent.containers import ContainerRefused, Containers
from poolwright.agent.layout import NODE_ROOT, TRASH
from poolwright.agent.users import Identity

ROOT_DIRECTORY = "/" + NODE_ROOT
_DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_TAIL_BYTES = 2000  # of each output: it goes into messages and a row
_OPEN = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
_NEEDS_RULES = re.compile(r"""["'\\]|[^\S \t\r\n]""")  # shlex knows fewer spaces than str.split
# Python ignores these; a program expects the default.
_DEFAULT_SIGNALS = [signal.SIGPIPE, signal.SIGXFSZ]


class LaunchError(Exception):
    """The program was not started. `code` is the failure code of the Batch service."""

    def __init__(self, code: str, message: str, details: list[list[str]] | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.details = details or []


@dataclass(frozen=True)
class Order:
    """What to start, checked."""

    exec_id: str
    words: tuple[str, ...]
    directory: str  # absolute
    fresh: bool
    environment: dict[str, str]
    readable: bool = False  # by every account of the machine: the start task's directory
    container: dict[str, Any] | None = None  # what the service says of it (reconcile/containers.py)
    adopt: bool = False  # a transfer filled the directory for this execution: what it made goes to the user


def check(spec: dict[str, Any]) -> Order:
    """Read an ExecSpec. Raises `LaunchError`."""
    command = spec.get("command")
    try:
        words = _split(command) if isinstance(command, str) else []
    except ValueError as failure:
        raise LaunchError(
            "CommandLaunchFailed", f"the command line cannot be split into words: {failure}"
        ) from None
    container = spec.get("container")
    if not words and container is None:
        raise LaunchError("CommandLaunchFailed", "the command line is empty")
    relative = str(spec.get("dir", ""))
    parts = relative.split("/")
    if not relative or any(part in ("", ".", "..") for part in parts) or "\0" in relative:
        text = f"directory {relative!r} is not a path below the node's root directory"
        raise LaunchError("CommandLaunchFailed", text)
    environment = spec.get("env") or {}
    directory = f"{ROOT_DIRECTORY}/{relative}"
    readable = spec.get("kind") == "start"
    adopt = bool(spec.get("adopt"))
    fresh = bool(spec.get("fresh", True)) and not adopt
    return Order(str(spec["exec"]), tuple(words), directory, fresh, environment, readable, container, adopt)


def _split(command: str) -> list[str]:
    """Words as a shell splits them. The full rules cost more than starting a program, so they are kept for commands
    that need them."""
    return shlex.split(command) if _NEEDS_RULES.search(command) else command.split()


class Launcher:
    """Starts orders. Remembers which parent directories exist and where replaced ones go."""

    def __init__(self) -> None:
        self._null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
        self._parents: set[str] = set()
        self._path = _image_path()
        self._trashed = 0
        self.trash_waits = _has_trash()  # a replaced directory waits for the host agent to delete it
        self.containers = Containers()

    def start(self, order: Order, identity: Identity) -> int:
        """Process id of the started program, a session leader. Raises `LaunchError`."""
        out = err = -1
        try:
            self._make_directory(order, identity)
            environment = self._environment(order, identity)
            _become(identity)
            try:
                out, err = _prepare(order)
                if order.container is not None:
                    _become_root()
                    return self._contain(order, order.container, identity, out, err)
                os.chdir(order.directory + "/wd")
                program = self._find(order.words[0], environment)
                return self._spawn(program, order.words, environment, out, err)
            finally:
                _become_root()
        except OSError as failure:
            raise _explain(failure, order) from None
        finally:
            for fd in (out, err):
                if fd >= 0:
                    os.close(fd)

    def _spawn(
        self, program: str, words: tuple[str, ...], environment: dict[str, str], out: int, err: int
    ) -> int:
        actions = [
            (os.POSIX_SPAWN_DUP2, self._null, 0),
            (os.POSIX_SPAWN_DUP2, out, 1),
            (os.POSIX_SPAWN_DUP2, err, 2),
        ]
        try:
            return os.posix_spawn(
                program, words, environment, file_actions=actions, setsid=True, setsigdef=_DEFAULT_SIGNALS
            )
        except (ValueError, TypeError) as failure:  # a NUL character in a word or variable, or no text at all
            raise LaunchError("CommandLaunchFailed", f"the program cannot be started: {failure}") from None
        except FileNotFoundError:
            raise _not_found(program) from None
        except OSError as failure:
            text = f"the program {words[0]!r} cannot be started: {failure.strerror}"
            details = [["Error", errno.errorcode.get(failure.errno or 0, "")]]
            raise LaunchError("CommandLaunchFailed", text, details) from None

    def _contain(
        self, order: Order, container: dict[str, Any], identity: Identity, out: int, err: int
    ) -> int:
        own = {**order.environment, tree.MARKER: order.exec_id}
        try:
            job = self.containers.prepare(
                order.exec_id,
                container,
                words=order.words,
                identity=identity,
                own=own,
                directory=order.directory,
            )
        except ContainerRefused as refused:
            raise LaunchError(refused.code, str(refused)) from None
        return self.containers.start(job, self._null, out, err)

    def _make_directory(self, order: Order, identity: Identity) -> None:
        directory = order.directory
        parent = os.path.dirname(directory)
        if parent not in self._parents:
            os.makedirs(parent, mode=0o755, exist_ok=True)
            self._parents.add(parent)
        mode = 0o755 if order.readable else 0o770
        try:
            os.mkdir(directory, mode)
        except FileExistsError:
            if order.fresh:
                self._discard(directory)
                os.mkdir(directory, mode)
            else:
                _take_over(directory, identity, mode)
        except FileNotFoundError:  # a parent went away since it was made
            os.makedirs(directory, mode=mode)
        if identity.uid != 0:
            os.chown(directory, identity.uid, identity.gid)
            if order.adopt:
                _hand_over(directory, identity)

    def _discard(self, directory: str) -> None:
        self._trashed += 1
        os.rename(directory, f"{ROOT_DIRECTORY}/{TRASH}/{os.getpid()}-{self._trashed}")
        self.trash_waits = True

    def _environment(self, order: Order, identity: Identity) -> dict[str, str]:
        defaults = {
            "PATH": self._path,
            "HOME": identity.home or order.directory + "/wd",
            "USER": identity.name,
            "LOGNAME": identity.name,
            "LANG": "C.UTF-8",
        }
        return {**defaults, **order.environment, tree.MARKER: order.exec_id}

    def _find(self, word: str, environment: dict[str, str]) -> str:
        """Search as execvp(3) does, with the program's own PATH; the current directory is its working directory."""
        if "/" in word:
            if not os.path.lexists(word):
                raise _not_found(word)
            return word
        denied = False
        for place in environment["PATH"].split(":"):
            candidate = f"{place or '.'}/{word}"
            if os.access(candidate, os.X_OK) and not os.path.isdir(candidate):
                return candidate
            denied = denied or os.path.isfile(candidate)
        if denied:
            raise LaunchError(
                "CommandLaunchFailed", f"the program {word!r} cannot be started: Permission denied"
            )
        raise _not_found(word)


def _has_trash() -> bool:
    """Whether something of an earlier life waits to be deleted."""
    try:
        return bool(os.listdir(f"{ROOT_DIRECTORY}/{TRASH}"))
    except OSError:
        return False


def tail(path: str) -> str:
    """The last part of a file of text, cut at a line where that leaves enough; empty when there is none."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return ""
    try:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            return ""
        raw = os.pread(fd, _TAIL_BYTES, max(0, status.st_size - _TAIL_BYTES))
    except OSError:
        return ""
    finally:
        os.close(fd)
    if status.st_size > _TAIL_BYTES and b"\n" in raw[: _TAIL_BYTES // 2]:
        raw = raw.partition(b"\n")[2]
    return raw.decode("utf-8", "replace").replace("\0", "\ufffd").strip()


def _hand_over(directory: str, identity: Identity) -> None:
    """Give what a transfer made below a directory to its user; links are given, never followed. What belongs to others
    already, or has a second name, is no work of a transfer."""
    for _, directories, names, fd in os.fwalk(directory):
        for name in (*directories, *names):
            status = os.stat(name, dir_fd=fd, follow_symlinks=False)
            if status.st_uid == 0 and (stat.S_ISDIR(status.st_mode) or status.st_nlink == 1):
                os.chown(name, identity.uid, identity.gid, dir_fd=fd, follow_symlinks=False)


def _become(identity: Identity) -> None:
    if identity.uid != 0:
        os.setgroups(identity.groups)
        os.setresgid(identity.gid, identity.gid, 0)
        os.setresuid(identity.uid, identity.uid, 0)


def _become_root() -> None:
    os.setresuid(0, 0, 0)
    os.setresgid(0, 0, 0)
    os.umask(0)
    with contextlib.suppress(OSError):
        os.setgroups([])


def _take_over(directory: str, identity: Identity, mode: int) -> None:
    """A directory kept from an earlier run, now this user's: its root holds what the service itself made there.

    The former user may have put anything in the place of these; what is no directory or no file of ours goes.
    """
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        os.fchmod(fd, mode)
        os.fchown(fd, identity.uid, identity.gid)
        for name in ("stdout.txt", "stderr.txt"):
            with contextlib.suppress(FileNotFoundError, IsADirectoryError):
                os.unlink(name, dir_fd=fd)
        with contextlib.suppress(OSError):  # not there yet, or a link
            work = os.open("wd", os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=fd)
            os.fchmod(work, mode)
            os.fchown(work, identity.uid, identity.gid)
            os.close(work)
    finally:
        os.close(fd)


def _prepare(order: Order) -> tuple[int, int]:
    """Working directory and output files, made by the user itself."""
    directory = order.directory
    inner, text = (0o755, 0o644) if order.readable else (0o770, 0o640)
    os.umask(0)
    with contextlib.suppress(FileExistsError):
        os.mkdir(directory + "/wd", inner)
    out = os.open(directory + "/stdout.txt", _OPEN, text)
    try:
        err = os.open(directory + "/stderr.txt", _OPEN, text)
    except OSError:
        os.close(out)
        raise
    os.umask(0o022)
    return out, err


def _not_found(word: str) -> LaunchError:
    return LaunchError("CommandProgramNotFound", f"the program {word!r} was not found", [["Program", word]])


def _explain(failure: OSError, order: Order) -> LaunchError:
    if failure.errno in (errno.ENOSPC, errno.EDQUOT):
        return LaunchError("DiskFull", f"no space left for directory {order.directory}")
    text = f"the task directory cannot be prepared: {failure.strerror}"
    return LaunchError("CommandLaunchFailed", text, [["Path", failure.filename or order.directory]])


def _image_path() -> str:
    """PATH of the image's /etc/environment, as a login there would have it."""
    try:
        with open("/etc/environment", encoding="utf-8", errors="replace") as stream:
            for line in stream:
                name, _, value = line.strip().partition("=")
                if name == "PATH" and value:
                    return value.strip("\"'")
    except OSError:
        pass
    return _DEFAULT_PATH
