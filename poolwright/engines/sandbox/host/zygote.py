"""A still copy of the host agent that forks the builders of machines.

The host agent itself writes to its memory all the time, so machines forked from it would soon share nothing with it
or with one another. The zygote does nothing but fork: what it and all machines have in common stays one copy.
It lives in the host agent's mount namespace, and ends when the host agent does.
"""

from __future__ import annotations

import array
import gc
import json
import os
import signal
import socket
from dataclasses import asdict
from typing import Any

from poolwright.engines.sandbox.host import boot
from poolwright.engines.sandbox.host.network import Link

_MESSAGE_BYTES = 256 * 1024  # a plan with all the certificates and keys that a pool may have
_MAX_DESCRIPTORS = 70  # channel, root disk, 64 data disks


class Zygote:
    """The host agent's end. Starts another zygote when the last one is gone."""

    def __init__(self, first_process: boot.FirstProcess) -> None:
        self._first_process = first_process
        self._control: socket.socket | None = None

    def start(self) -> None:
        """Fork the zygote now, while the host agent is small and holds nothing."""
        gc.collect()
        gc.freeze()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2 * _MESSAGE_BYTES)  # a message is sent whole
        if os.fork() == 0:
            _run(theirs, self._first_process)
        theirs.close()
        if self._control is not None:
            self._control.close()
        self._control = ours

    def build(self, plan: boot.Plan, channel: socket.socket) -> None:
        """Fork a builder for `plan`, reporting over `channel`. The caller closes its own copies of descriptors."""
        trees = [] if plan.os_tree is None else [plan.os_tree]
        descriptors = [channel.fileno(), *trees, *plan.disk_trees.values()]
        message = json.dumps(asdict(plan)).encode()
        try:
            self._send(message, descriptors)
        except OSError:
            self.start()
            self._send(message, descriptors)

    def _send(self, message: bytes, descriptors: list[int]) -> None:
        if self._control is None:
            raise OSError("no zygote")
        ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))]
        self._control.sendmsg([message], ancillary)

    def close(self) -> None:
        """End the zygote; machines stay."""
        if self._control is not None:
            self._control.close()
            self._control = None


def _run(control: socket.socket, first_process: boot.FirstProcess) -> None:
    """Body of the zygote. Never returns."""
    try:
        boot.forget_host_agent({control.fileno()})
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # builders are nobody's to wait for
        while True:
            message, descriptors, _, _ = socket.recv_fds(control, _MESSAGE_BYTES, _MAX_DESCRIPTORS)
            if not message:
                break
            if os.fork() == 0:
                control.close()
                channel = socket.socket(fileno=descriptors[0])
                boot.run_builder(_plan(json.loads(message), descriptors[1:]), channel, first_process)
            for fd in descriptors:
                os.close(fd)
    finally:
        os._exit(0)


def _plan(values: dict[str, Any], trees: list[int]) -> boot.Plan:
    """A plan as it was before it went through JSON, with the descriptors this process knows it by."""
    waiting = iter(trees)
    values["os_tree"] = None if values["os_tree"] is None else next(waiting)
    values["disk_trees"] = {int(lun): next(waiting) for lun in values["disk_trees"]}
    values["disk_mounts"] = {int(lun): path for lun, path in values["disk_mounts"].items()}
    values["groups"] = tuple(values["groups"])
    values["link"] = None if values["link"] is None else Link(**values["link"])
    return boot.Plan(**values)
