"""The run-command operation of build machines: a shell script as container root, its last output and exit code."""

from __future__ import annotations

import base64
import contextlib
import functools
import os
import signal
from collections.abc import Callable
from typing import Any

from poolwright.agent import tree
from poolwright.agent.frames import Message
from poolwright.agent.loop import Loop, Timer

KEPT_OUTPUT = 64 * 1024
_READ = 64 * 1024
_LAST_READS = 16  # a pipe holds 1 MiB at most unless its owner is privileged (pipe(7))
_SCRIPT_FD = 9
_AT_ONCE = 8
_GRACE_S = 5.0
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class _Tail:
    """The last part of a stream."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.data = bytearray()
        self.total = 0

    def pull(self) -> bool:
        """Read what is there; False at the end of the stream."""
        try:
            chunk = os.read(self.fd, _READ)
        except BlockingIOError:
            return True
        self.total += len(chunk)
        self.data += chunk
        if len(self.data) > KEPT_OUTPUT:
            del self.data[: len(self.data) - KEPT_OUTPUT]
        return bool(chunk)


class _Command:
    def __init__(self, call_id: int, pid: int, out: _Tail, err: _Tail) -> None:
        self.call_id = call_id
        self.pid = pid
        self.streams = (out, err)
        self.timer: Timer | None = None
        self.timed_out = False


class Commands:
    """Runs scripts side by side. What a script leaves running stays, as on a real machine."""

    def __init__(self, loop: Loop, send: Callable[[Message], None]) -> None:
        self._loop = loop
        self._send = send
        self._running: dict[int, _Command] = {}

    def start(self, message: Message) -> None:
        """Run `script` with `env`; answered by a `command` message with the same `id`."""
        call_id = int(message["id"])
        if len(self._running) >= _AT_ONCE:
            return self._answer(call_id, {"error": f"{_AT_ONCE} commands run already"})
        try:
            command = self._spawn(call_id, "\n".join(message["script"]) + "\n", message.get("env") or {})
        except (OSError, ValueError) as failure:
            return self._answer(call_id, {"error": f"/bin/sh cannot be started: {failure}"})
        self._running[command.pid] = command
        for stream in command.streams:
            self._loop.read(stream.fd, functools.partial(self._on_output, stream))
        command.timer = self._loop.later(
            float(message.get("timeout_s", 5400)), lambda: self._on_timeout(command)
        )
        return None

    def _spawn(self, call_id: int, script: str, env: dict[str, str]) -> _Command:
        file = os.memfd_create("script", os.MFD_CLOEXEC)
        out_r, out_w = os.pipe()
        err_r, err_w = os.pipe()
        null = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.write(file, script.encode())
            environment = {"PATH": _PATH, "HOME": "/root", "USER": "root", "LANG": "C.UTF-8", **env}
            environment[tree.MARKER] = f"command-{call_id}"
            actions = [
                (os.POSIX_SPAWN_DUP2, null, 0),
                (os.POSIX_SPAWN_DUP2, out_w, 1),
                (os.POSIX_SPAWN_DUP2, err_w, 2),
                (os.POSIX_SPAWN_DUP2, file, _SCRIPT_FD),
            ]
            os.umask(0o022)
            os.chdir("/root" if os.path.isdir("/root") else "/")
            words = ["sh", f"/dev/fd/{_SCRIPT_FD}"]
            signals = [signal.SIGPIPE, signal.SIGXFSZ]
            pid = os.posix_spawn(
                "/bin/sh", words, environment, file_actions=actions, setsid=True, setsigdef=signals
            )
        except BaseException:
            os.close(out_r)
            os.close(err_r)
            raise
        finally:
            os.chdir("/")
            os.umask(0)
            for fd in (file, out_w, err_w, null):
                os.close(fd)
        os.set_blocking(out_r, False)
        os.set_blocking(err_r, False)
        return _Command(call_id, pid, _Tail(out_r), _Tail(err_r))

    def on_child(self, pid: int, status: int) -> bool:
        """An ended process; True when it was a command's."""
        command = self._running.pop(pid, None)
        if command is None:
            return False
        if command.timer is not None:
            command.timer.cancel()
        for stream in command.streams:
            for _ in range(_LAST_READS):  # what is in the pipe now; a daemon may keep it open for ever
                stream.pull()
            self._loop.forget(stream.fd)
            os.close(stream.fd)
        code = 128 + os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
        texts = [base64.b64encode(stream.data).decode() for stream in command.streams]
        result: dict[str, Any] = {"exit_code": code, "stdout": texts[0], "stderr": texts[1]}
        result["timed_out"] = command.timed_out
        self._answer(command.call_id, {"result": result})
        return True

    def _on_output(self, stream: _Tail) -> None:
        if not stream.pull():
            self._loop.forget(stream.fd)

    def _on_timeout(self, command: _Command) -> None:
        first = not command.timed_out
        command.timed_out = True
        mine = tree.members(tree.processes(), command.pid, f"command-{command.call_id}")
        tree.send(mine, signal.SIGTERM if first else signal.SIGKILL)
        command.timer = self._loop.later(_GRACE_S, lambda: self._on_timeout(command))

    def _answer(self, call_id: int, body: dict[str, Any]) -> None:
        with contextlib.suppress(OSError):
            self._send({"op": "command", "id": call_id, **body})
