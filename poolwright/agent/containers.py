"""Containers of tasks: their files, the process that becomes the runtime, and what it says when one cannot be made.

The runtime (crun) knows nothing of nodes and has no daemon. It is started in a user namespace of its own, in which the
node's users have the same numbers: there it may mount, which the node's root may not. Everything mounted ends with it.
A container's writable layer is below the node root, in `.containers/<execution>`, and goes when its process has ended.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import signal
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from poolwright.agent import bundle, syscalls
from poolwright.agent.bundle import SettingsRefused
from poolwright.agent.layout import CERTIFICATES, CONTAINERS, IMAGES, NODE_ROOT, RUNTIME, TRASH
from poolwright.agent.users import Identity

_PLACE = f"/{NODE_ROOT}/{CONTAINERS}"
_GRAVES = f"/{NODE_ROOT}/{TRASH}"
_PROGRAM = f"/{RUNTIME}/crun"
_FILE_BYTES_MAX = 1024**2  # of an image's passwd, of the runtime's log
_USERS = "0 0 65536"  # the node's users, under the same numbers
_NOT_STARTED = 125  # as docker's own exit code for that


class ContainerRefused(Exception):
    """No container was started. `code` is the failure code of the Batch service."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class Job:
    """A container to be started, everything in place."""

    id: str
    bundle: str  # its directory
    image: str  # directory of the image
    volumes: tuple[tuple[int, str], ...]  # (number, path on the node)
    identity: Identity
    elevated: bool


class Containers:
    """The containers of one node."""

    def __init__(self) -> None:
        self._buried = 0
        self.trash_waits = False
        with contextlib.suppress(OSError):  # of the node's former life
            for name in os.listdir(_PLACE):
                self.bury(name)

    def prepare(
        self,
        exec_id: str,
        container: Mapping[str, Any],
        *,
        words: tuple[str, ...],
        identity: Identity,
        own: Mapping[str, str],
        directory: str,
    ) -> Job:
        """Write what the runtime reads. Called as the node's root. Raises ContainerRefused, OSError."""
        image = f"/{IMAGES}/{container.get('image')}"
        try:
            with open(f"{image}/config.json", encoding="utf-8") as stream:
                about = json.load(stream)
        except (OSError, ValueError):
            raise ContainerRefused("ContainerInvalidImage", "the image is not on the node") from None
        if not os.access(_PROGRAM, os.X_OK):
            raise ContainerRefused("ContainerMiscError", "the container runtime is not on the node")
        place = f"{_PLACE}/{exec_id}"
        os.makedirs(_PLACE, mode=0o700, exist_ok=True)
        for name in ("", "upper", "work", "root", "state"):
            os.mkdir(f"{place}/{name}", 0o700 if name in ("", "state") else 0o755)
        accounts = _read_inside(f"{image}/rootfs", "etc/passwd")
        certificates = own.get("AZ_BATCH_CERTIFICATES_DIR", "")
        if os.path.dirname(certificates) == f"/{CERTIFICATES}" and os.path.isdir(certificates):
            container = {**container, "certificates": certificates}
        try:
            settings = bundle.configuration(
                container,
                about,
                words=words,
                identity=identity,
                own=own,
                directory=directory,
                bundle=place,
                accounts=accounts,
            )
        except SettingsRefused as refused:
            self.bury(exec_id)
            raise ContainerRefused("ContainerInvalidSettings", str(refused)) from None
        _write(f"{place}/config.json", json.dumps(settings), 0o600)
        _write(f"{place}/passwd", _with_user(accounts, identity, directory), 0o644)
        hostname = str(container.get("hostname") or os.uname().nodename)
        _write(f"{place}/hostname", hostname + "\n", 0o644)
        volumes = [
            (n, str(one[1])) for n, one in enumerate(container.get("volumes") or ()) if one[1] is not None
        ]
        return Job(str(container["id"]), place, image, tuple(volumes), identity, identity.uid == 0)

    def start(self, job: Job, null: int, out: int, err: int) -> int:
        """Process id of the runtime, a session leader, which ends as its container does."""
        child = os.fork()
        if child == 0:
            _be_runtime(job, null, out, err)
        return child

    def failure(self, exec_id: str) -> tuple[str, str] | None:
        """(code, message) when the runtime of a container that ended says that none was started."""
        said = ""
        for line in _read_inside(_PLACE, f"{exec_id}/log").splitlines():
            with contextlib.suppress(ValueError, TypeError, AttributeError):
                entry = json.loads(line)
                if entry.get("level") == "error":
                    said = str(entry.get("msg"))
        if not said:
            return None
        code = "ContainerMiscError"
        if said.startswith("executable file"):
            code = "CommandProgramNotFound" if "No such file" in said else "CommandLaunchFailed"
        elif said.startswith(_REFUSED):
            code, said = "ContainerInvalidSettings", said.removeprefix(_REFUSED)
        return code, f"the container was not started: {said}"

    def bury(self, exec_id: str) -> None:
        """Put its files where the host agent deletes them."""
        self._buried += 1
        with contextlib.suppress(FileNotFoundError):
            os.rename(f"{_PLACE}/{exec_id}", f"{_GRAVES}/container-{os.getpid()}-{self._buried}-{exec_id}")
            self.trash_waits = True


_REFUSED = "refused: "


def _be_runtime(job: Job, null: int, out: int, err: int) -> None:
    """Body of the process that becomes the runtime. Never returns."""
    try:
        signal.set_wakeup_fd(-1)
        for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        os.setsid()
        for target, fd in enumerate((null, out, err)):
            os.dup2(fd, target)
        os.closerange(3, os.sysconf("SC_OPEN_MAX"))
        _own_users()
        _build(job)
        words = [_PROGRAM, "--root", f"{job.bundle}/state", "--cgroup-manager", "disabled"]
        words += ["--log", f"{job.bundle}/log", "--log-format", "json", "run", "--bundle", job.bundle, job.id]
        os.execve(_PROGRAM, words, {"LD_LIBRARY_PATH": f"/{RUNTIME}/lib", "PATH": "/usr/bin:/bin"})  # noqa: S606
    except BaseException as failure:  # noqa: BLE001 - the process ends here; the log is read by who started it
        text = str(failure) if isinstance(failure, OSError | SettingsRefused) else repr(failure)
        said = f"{_REFUSED if isinstance(failure, SettingsRefused) else ''}{text}"
        with contextlib.suppress(OSError):
            _write(f"{job.bundle}/log", json.dumps({"level": "error", "msg": said}) + "\n", 0o600)
            os.write(2, f"{text}\n".encode(errors="replace"))
    finally:
        os._exit(_NOT_STARTED)


def _own_users() -> None:
    """Enter a user namespace, and a mount namespace in it. The maps are written by a helper that stays outside: only
    from there they may name all users of the node."""
    me = os.getpid()
    syscalls.set_dumpable()  # else the helper may not write to this process's files in /proc
    left, done = os.pipe(), os.pipe()
    helper = os.fork()
    if helper == 0:
        try:
            os.close(left[1])
            if os.read(left[0], 1) == b"1":
                for name in ("uid_map", "gid_map"):
                    with open(f"/proc/{me}/{name}", "w", encoding="ascii") as stream:
                        stream.write(_USERS)
                os.write(done[1], b"1")
        finally:
            os._exit(0)
    os.close(done[1])
    try:
        syscalls.unshare(syscalls.CLONE_NEWUSER | syscalls.CLONE_NEWNS)
        os.write(left[1], b"1")
        if os.read(done[0], 1) != b"1":
            raise OSError(errno.EPERM, "the users of the container cannot be mapped")
    finally:
        for fd in (*left, done[0]):
            os.close(fd)
        os.waitpid(helper, 0)
    os.setgroups([])
    os.setresgid(0, 0, 0)
    os.setresuid(0, 0, 0)


def _build(job: Job) -> None:
    """The root of the container, and its volumes as far as its user may reach them."""
    place = job.bundle
    # The runtime looks for control groups; a node has none, whatever its host mounts.
    syscalls.mount(
        "tmpfs", "/sys/fs/cgroup", "tmpfs", syscalls.MS_NOSUID | syscalls.MS_NODEV, "mode=755,size=4k"
    )
    layers = f"lowerdir={job.image}/rootfs,upperdir={place}/upper,workdir={place}/work,userxattr"
    syscalls.mount("overlay", f"{place}/root", "overlay", 0 if job.elevated else syscalls.MS_NOSUID, layers)
    for number, source in job.volumes:
        if not job.elevated:  # found with the rights of the task's user, which takes root's over files away
            syscalls.set_fs_ids(job.identity.uid, job.identity.gid)
        try:
            tree = syscalls.clone_tree(source, recursive=True)
        except OSError as failure:
            text = f"the volume {source} cannot be used on the node: {os.strerror(failure.errno or 0)}"
            raise SettingsRefused(text) from None
        finally:
            syscalls.set_fs_ids(0, 0)
        target = f"{place}/volume{number}"
        if stat.S_ISDIR(os.fstat(tree).st_mode):
            os.mkdir(target)
        else:
            _write(target, "", 0o600)
        syscalls.attach_tree(tree, target)
        os.close(tree)


def _with_user(accounts: str, identity: Identity, directory: str) -> str:
    """The image's passwd(5) with an entry for the task's user, so that programs which ask for its name go on."""
    if any(line.split(":")[2:3] == [str(identity.uid)] for line in accounts.splitlines()):
        return accounts
    whole = accounts if accounts.endswith("\n") or not accounts else accounts + "\n"
    return f"{whole}{identity.name}:x:{identity.uid}:{identity.gid}::{directory}/wd:/bin/sh\n"


def _read_inside(root: str, path: str) -> str:
    """A small file below a directory; empty when there is none, or when it lies elsewhere."""
    try:
        folder = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return ""
    try:
        fd = syscalls.open_beneath(folder, path, os.O_RDONLY | os.O_NONBLOCK)
        with open(fd, encoding="utf-8", errors="replace") as stream:
            return stream.read(_FILE_BYTES_MAX) if stat.S_ISREG(os.fstat(fd).st_mode) else ""
    except OSError:
        return ""
    finally:
        os.close(folder)


def _write(path: str, text: str, mode: int) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
    with open(fd, "w", encoding="utf-8") as stream:
        stream.write(text)
