"""The three network changes a routed machine needs, in kernel messages (rtnetlink(7), veth(4)): far cheaper than
starting `ip` once per machine."""

from __future__ import annotations

import os
import socket
import struct

_RTM_NEWLINK, _RTM_DELLINK, _RTM_NEWADDR, _RTM_NEWROUTE = 16, 17, 20, 24
_NLMSG_ERROR = 2
_REQUEST, _ACK, _EXCLUSIVE, _CREATE = 0x1, 0x4, 0x200, 0x400
_IFLA_IFNAME, _IFLA_LINKINFO, _IFLA_NET_NS_PID = 3, 18, 19
_INFO_KIND, _INFO_DATA, _VETH_PEER = 1, 2, 1
_IFA_ADDRESS, _IFA_LOCAL = 1, 2
_RTA_DST, _RTA_OIF = 1, 4
_IFF_UP = 1
_SCOPE_LINK, _TABLE_MAIN, _PROTO_BOOT, _TYPE_UNICAST = 253, 254, 3, 1
_RECEIVE_BYTES = 65_536


def _attribute(kind: int, value: bytes) -> bytes:
    size = 4 + len(value)
    return struct.pack("HH", size, kind) + value + bytes(-size % 4)


def _interface(index: int = 0, flags: int = 0, change: int = 0) -> bytes:
    return struct.pack("BxHiII", socket.AF_UNSPEC, 0, index, flags, change)


class Netlink:
    """One socket to the kernel's routing messages in the network namespace it was opened in."""

    def __init__(self) -> None:
        self._socket = socket.socket(
            socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE
        )
        self._socket.bind((0, 0))
        self._socket.settimeout(10.0)
        self._sequence = 0

    def close(self) -> None:
        self._socket.close()

    def add_pair(self, host_name: str, peer_name: str, peer_pid: int) -> int:
        """A virtual cable from `host_name` (up) to `peer_name` in the namespace of `peer_pid`; the host's index."""
        peer = _interface() + _attribute(_IFLA_IFNAME, peer_name.encode() + b"\0")
        peer += _attribute(_IFLA_NET_NS_PID, struct.pack("I", peer_pid))
        info = _attribute(_INFO_KIND, b"veth") + _attribute(_INFO_DATA, _attribute(_VETH_PEER, peer))
        body = _interface(flags=_IFF_UP, change=_IFF_UP)
        body += _attribute(_IFLA_IFNAME, host_name.encode() + b"\0") + _attribute(_IFLA_LINKINFO, info)
        self._request(_RTM_NEWLINK, _CREATE | _EXCLUSIVE, body, f"make interface {host_name}")
        return socket.if_nametoindex(host_name)

    def delete_link(self, name: str) -> None:
        """Remove an interface (and its peer)."""
        body = _interface() + _attribute(_IFLA_IFNAME, name.encode() + b"\0")
        self._request(_RTM_DELLINK, 0, body, f"delete interface {name}")

    def add_address(self, index: int, address: str) -> None:
        """Give an interface the single address `address` (/32)."""
        packed = socket.inet_aton(address)
        body = struct.pack("BBBBi", socket.AF_INET, 32, 0, _SCOPE_LINK, index)
        body += _attribute(_IFA_LOCAL, packed) + _attribute(_IFA_ADDRESS, packed)
        self._request(_RTM_NEWADDR, _CREATE | _EXCLUSIVE, body, f"give address {address}")

    def add_route(self, index: int, address: str) -> None:
        """Send packets for `address` to an interface."""
        body = struct.pack(
            "BBBBBBBBI", socket.AF_INET, 32, 0, 0, _TABLE_MAIN, _PROTO_BOOT, _SCOPE_LINK, _TYPE_UNICAST, 0
        )
        body += _attribute(_RTA_DST, socket.inet_aton(address)) + _attribute(
            _RTA_OIF, struct.pack("I", index)
        )
        self._request(_RTM_NEWROUTE, _CREATE | _EXCLUSIVE, body, f"route {address}")

    def _request(self, kind: int, flags: int, body: bytes, what: str) -> None:
        self._sequence += 1
        header = struct.pack("IHHII", 16 + len(body), kind, _REQUEST | _ACK | flags, self._sequence, 0)
        self._socket.send(header + body)
        while True:
            answer = self._socket.recv(_RECEIVE_BYTES)
            _, answer_kind, _, sequence, _ = struct.unpack_from("IHHII", answer)
            if sequence != self._sequence or answer_kind != _NLMSG_ERROR:
                continue
            code = struct.unpack_from("i", answer, 16)[0]
            if code != 0:
                raise OSError(-code, f"{what}: {os.strerror(-code)}")
            return
