"""Front-end ports of the host, held by bound sockets, so that no other program (or data directory) has them as well."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterable

Port = tuple[str, int]
"""Protocol ("tcp" or "udp") and number."""
_KINDS = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}


class PortTaken(Exception):
    """Somebody else has the port; `lasting` when a server listens there."""

    def __init__(self, message: str, lasting: bool) -> None:
        super().__init__(message)
        self.lasting = lasting


class Claims:
    """Sockets that are bound and never used: the packet filter leads away what would reach them."""

    def __init__(self) -> None:
        self._held: dict[Port, socket.socket] = {}

    def take(self, front: str, ports: Iterable[Port]) -> None:
        """Claim all of these or none. Raises PortTaken, OSError."""
        taken = []
        try:
            for port in ports:
                if port not in self._held:
                    self._held[port] = _bind(front, port)
                    taken.append(port)
        except BaseException:
            self.give_back(taken)
            raise

    def give_back(self, ports: Iterable[Port]) -> None:
        """Let go of these."""
        for port in ports:
            held = self._held.pop(port, None)
            if held is not None:
                held.close()


def _bind(front: str, port: Port) -> socket.socket:
    protocol, number = port
    made = socket.socket(socket.AF_INET, _KINDS[protocol] | socket.SOCK_CLOEXEC)
    try:
        made.bind((front, number))
    except OSError as error:
        made.close()
        if error.errno == errno.EADDRINUSE:
            text = f"front-end port {number}/{protocol} is in use by another program of this host"
            raise PortTaken(text, _is_served(protocol, number)) from None
        raise OSError(error.errno, f"front-end port {number}/{protocol}: {error.strerror}") from None
    return made


def _is_served(protocol: str, number: int) -> bool:
    """Does a server wait there (proc(5), /proc/net/tcp: state 0A is listening, of udp 07 unconnected)?"""
    wanted = "0A" if protocol == "tcp" else "07"
    for name in (protocol, protocol + "6"):
        try:
            with open(f"/proc/net/{name}", encoding="ascii") as stream:
                lines = stream.readlines()[1:]
        except OSError:
            continue
        for line in lines:
            fields = line.split()
            if int(fields[1].rpartition(":")[2], 16) == number and fields[3] == wanted:
                return True
    return False
