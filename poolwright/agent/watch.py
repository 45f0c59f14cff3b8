"""What a node agent looks after besides executions: is there room on the node's root, are its mounts alive?

Only nodes that have something to look after pay for it. The look is taken in a forked process, because one at a
mount whose server is away may not come back.
"""

from __future__ import annotations

import errno
import json
import os
import signal
import time
from collections.abc import Callable
from typing import Any

from poolwright.agent.loop import Loop

PERIOD_S = 3.0
_PATIENCE_S = 20.0
_POLL_S = 0.05
_ROOM_NEXT = (
    "Delete files on the node's root (as an admin user), or reimage the node; it comes back by itself then."
)
_MOUNT_NEXT = "See that the mount's source is there and reachable, then reboot the node."

Troubles = list[dict[str, Any]]


class Watch:
    """Looks every few seconds; `changed` is called with all troubles when they are others than before.

    `wanted`: {"room": {"path", "reserve"} or None, "mounts": [{"path", "name"}]}.
    """

    def __init__(self, loop: Loop, wanted: dict[str, Any], changed: Callable[[Troubles], None]) -> None:
        self._loop = loop
        self._wanted = wanted
        self._changed = changed
        self._pipe = -1
        self._child = 0
        self._heard = b""
        self._began = 0.0
        self.troubles: Troubles = []
        if wanted.get("room") or wanted.get("mounts"):
            loop.later(PERIOD_S, self._begin)

    def _begin(self) -> None:
        read, write = os.pipe()
        child = os.fork()
        if child == 0:
            _look(self._wanted, write)
        os.close(write)
        self._child, self._pipe, self._heard, self._began = child, read, b"", time.monotonic()
        os.set_blocking(read, False)
        self._loop.read(read, self._on_words)
        self._loop.child(child, lambda _: None)
        self._loop.later(_PATIENCE_S, lambda: self._on_patience(child))

    def _on_words(self) -> None:
        try:
            piece = os.read(self._pipe, 65_536)
        except BlockingIOError:
            return
        if piece:
            self._heard += piece
            return
        self._end()

    def _on_patience(self, child: int) -> None:
        if self._child == child and self._pipe >= 0:
            os.kill(child, signal.SIGKILL)  # it is ours and not waited for before its pipe is closed
            self._end()

    def _end(self) -> None:
        self._loop.forget(self._pipe)
        os.close(self._pipe)
        self._pipe = -1
        troubles: Troubles = [json.loads(line) for line in self._heard.splitlines() if line.endswith(b"}")]
        if not self._heard.endswith(b"done\n"):
            silent = self._heard.count(b"ok\n") + len(troubles)
            names = [mount["name"] for mount in self._wanted.get("mounts", ())]
            name = names[silent] if silent < len(names) else "a mount"
            cause = f"it does not answer for {_PATIENCE_S:.0f} s"
            troubles.append(_lost(name, cause))
        if troubles != self.troubles:
            self.troubles = troubles
            self._changed(troubles)
        self._loop.later(PERIOD_S, self._begin)


def _look(wanted: dict[str, Any], pipe: int) -> None:
    """Body of the looking process: a line a mount ("ok" or a trouble), one for the room, then "done"."""
    try:
        for mount in wanted.get("mounts", ()):
            cause = _why_lost(mount["path"])
            _say(pipe, _lost(mount["name"], cause) if cause else None)
        room = wanted.get("room")
        if room:
            _say(pipe, _full(room))
        os.write(pipe, b"done\n")
    finally:
        os._exit(0)


def _say(pipe: int, trouble: dict[str, Any] | None) -> None:
    os.write(pipe, b"ok\n" if trouble is None else json.dumps(trouble).encode() + b"\n")


def _why_lost(path: str) -> str | None:
    try:
        seen = os.stat(path)
        os.statvfs(path)
    except OSError as failure:
        return failure.strerror if failure.errno != errno.ESTALE else "the server does not know it any more"
    return "its directory was deleted" if seen.st_nlink == 0 else None


def _lost(name: str, cause: str) -> dict[str, Any]:
    details = [["Path", name], ["Cause", cause], ["NextStep", _MOUNT_NEXT]]
    text = f"The mount {name} is lost: {cause}. {_MOUNT_NEXT}"
    return {"code": "MountConfigurationError", "message": text, "details": details}


def _full(room: dict[str, Any]) -> dict[str, Any] | None:
    seen = os.statvfs(room["path"])
    if seen.f_bavail * seen.f_frsize >= room["reserve"]:
        return None
    cause = f"the node's root has less than {room['reserve']} bytes left of the size its pool gave it"
    details = [["Cause", cause], ["NextStep", _ROOM_NEXT]]
    return {"code": "DiskFull", "message": f"The disk is full: {cause}. {_ROOM_NEXT}", "details": details}
