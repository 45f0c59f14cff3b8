"""One job in two processes: this one keeps the files and speaks with nobody; its child speaks with servers and parses
what users wrote, as a user of its own, without a capability, without files, and without loading any more code.
"""

from __future__ import annotations

import fcntl
import os
import resource
import signal
import socket
import sys
from collections.abc import Mapping
from contextlib import suppress
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

from poolwright.agent import syscalls
from poolwright.transfer import jobs
from poolwright.transfer.desk import Desk, FarHands
from poolwright.transfer.failures import TransferFailed
from poolwright.transfer.fetching import PATIENCE, Patience
from poolwright.transfer.hands import OwnHands

Json = dict[str, Any]

#: User and group of the half that moves: in the gap that systemd's documentation of user ids leaves unused, so that
#: no account of a host and no dynamic user has it, and far below the ids of machines.
MOVER_ID = 61_000
#: How long a job may take that says nothing of it.
JOB_S_MAX = 24 * 3600.0
_CAPABILITIES = 64  # more than the kernel knows
DIED = {"ok": False, "code": "WorkerDied", "message": "the transfer's process was killed", "details": []}
_TIMED_OUT = {
    "fetch": "BlobDownloadTimedOut",
    "deliver": "FileUploadTimedOut",
    "logs": "FileUploadTimedOut",
    "install": "ApplicationPackageError",
}


def run(order: Mapping[str, Any], life: int) -> Json:
    """Do one job; nothing of it is left when this returns. `life` is a pipe that both processes keep open. Where this
    process is not root there is nothing to part with. Never raises."""
    return jobs.told(order, lambda: _run(_trusting(order), life))


def _run(order: Mapping[str, Any], life: int) -> Json:
    patience = Patience(**order["patience"]) if "patience" in order else PATIENCE
    if os.geteuid() != 0 or order.get("kind") == "image":
        return jobs.run(
            order, patience
        )  # images have their layers unpacked in a process without rights (apart.py)
    return jobs.told(order, lambda: _parted(order, patience, life))


def _trusting(order: Mapping[str, Any]) -> Mapping[str, Any]:
    """With the certificates of the operator's file in its words: who moves may not be able to read that. Raises
    TransferFailed."""
    own = order.get("own") or {}
    if not own.get("trusted"):
        return order
    try:
        text = Path(str(own["trusted"])).read_text("ascii", "ignore")
    except OSError as error:
        told = f"the certificates of the service's SSL_CERT_FILE cannot be read: {error}"
        raise TransferFailed(jobs.MISC.get(str(order.get("kind")), "Unknown"), told) from None
    return {**order, "own": {**own, "authority": f"{own.get('authority') or ''}\n{text}"}}


def _parted(order: Mapping[str, Any], patience: Patience, life: int) -> Json:
    with OwnHands(order) as hands:
        if hands.outcome is not None:
            return hands.outcome
        ours, theirs = socket.socketpair()
        parent = os.getpid()
        pid = os.fork()
        if pid == 0:
            _be_mover(order, patience, theirs, life, parent)
        theirs.close()
        try:
            outcome = _served(order, ours, hands)
        finally:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            ours.close()
        return hands.finish(outcome)


def _served(order: Mapping[str, Any], sock: socket.socket, hands: OwnHands) -> Json:
    seconds = float(order.get("seconds") or JOB_S_MAX)
    try:
        return Desk(sock, hands, str(order.get("dir"))).serve(seconds) or dict(DIED)
    except TimeoutError:
        code = _TIMED_OUT.get(str(order.get("kind")), "Unknown")
        text = f"it was not over after {seconds:.0f} s, which is all the time that a transfer has"
        return {"ok": False, "code": code, "message": text, "details": []}


def _be_mover(
    order: Mapping[str, Any], patience: Patience, sock: socket.socket, life: int, parent: int
) -> NoReturn:
    """Body of the half that moves."""
    try:
        sock, life = _keep_only(sock, life)
        _drop_rights()
        syscalls.die_with_parent()
        if os.getppid() != parent:
            os._exit(0)
        sys.meta_path.insert(0, _NoMoreCode())
        hands = FarHands(sock, str(order.get("dir")))
        hands.done(jobs.told(order, lambda: jobs.move(order, hands, patience)))
    finally:
        os._exit(0)


def _keep_only(sock: socket.socket, life: int) -> tuple[socket.socket, int]:
    """Close all files but the standard ones, the socket to the other half and the sign of life. What objects of the
    worker still hold closed files of is never let go: this process ends without looking back."""
    for fd, place in [
        (fcntl.fcntl(fd, fcntl.F_DUPFD, 100), place) for fd, place in ((sock.fileno(), 3), (life, 4))
    ]:
        os.dup2(fd, place)
    os.closerange(5, resource.getrlimit(resource.RLIMIT_NOFILE)[0])
    _FORGOTTEN.append(sock)
    return socket.socket(fileno=3), 4


_FORGOTTEN: list[Any] = []


def _drop_rights() -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    syscalls.set_no_new_privileges()
    for number in range(_CAPABILITIES):
        syscalls.drop_bounding_capability(number)
    os.setgroups([])
    os.setresgid(MOVER_ID, MOVER_ID, MOVER_ID)
    os.setresuid(MOVER_ID, MOVER_ID, MOVER_ID)
    os.chdir("/")


class _NoMoreCode:
    """Refuses to load code: all that a job needs is there (worker.py, warm), or it would depend on who may read it."""

    def find_spec(
        self, name: str, _path: object = None, _target: ModuleType | None = None
    ) -> ModuleSpec | None:
        raise ModuleNotFoundError(f"{name} was not loaded in time", name=name)
