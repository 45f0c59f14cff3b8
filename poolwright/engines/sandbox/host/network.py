"""Addresses and the way out for machines: one routed cable each, one address translation table a data directory."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import ipaddress
import os
import shutil
import socket
import struct
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass

from poolwright.engines.sandbox.host.addresses import Addresses, NoAddress
from poolwright.engines.sandbox.host.claims import Claims, PortTaken
from poolwright.engines.sandbox.host.firewall import Firewall, Forward, other_tables
from poolwright.engines.sandbox.host.netlink import Netlink

__all__ = ["Link", "Network", "NoAddress", "PortTaken", "configure_inside", "free_low_ports"]

_FIRST_NETWORK, _LAST_NETWORK = 201, 250  # 10.201.0.0/16 unless another data directory has it
_SHARED_STATE = "/run/poolwright"
_FORWARDING = "/proc/sys/net/ipv4/ip_forward"


@dataclass(frozen=True)
class Link:
    """The network of one machine: address inside, gateway, name of the host's end."""

    address: str
    gateway: str
    interface: str


class Network:
    """Makes and removes links. Nothing is changed on the host before the first one."""

    def __init__(self, tag: str, run_dir: str) -> None:
        self._prefix = f"pw{tag}-"  # an interface name has at most 15 characters: 2 + 8 + 1 + 4
        self._run_dir = run_dir
        self._netlink = Netlink()
        self._firewall = Firewall(f"poolwright_{tag}", self._prefix)
        self._addresses = Addresses()
        self._claims = Claims()
        self._forwards: dict[str, tuple[Forward, ...]] = {}  # by address
        self._base: int | None = None  # second byte of the network
        self._claim: socket.socket | None = None
        self._active = self._forwarding = False
        self.unusable = self._why_unusable()

    def _why_unusable(self) -> str | None:
        if os.geteuid() != 0:
            return "the host agent is not root"
        if shutil.which("nft") is None:
            return "the nft program (package nftables) is not installed"
        return None

    def expose(self, front: str, port: int | None, opened: tuple[int, ...] = ()) -> None:
        """Forwarded ports are reached at the host's address `front` (0.0.0.0: at all); the service has `port`; machines
        may reach the ports `opened` of the host."""
        wall, wanted = self._firewall, (front, port, opened)
        if wanted == (wall.front, wall.own_port, wall.open_ports):
            return
        wall.front, wall.own_port, wall.open_ports = wanted
        self._claim_again()
        if self._active:
            self._install()

    def adopt(self, link: Link, network: str, forwards: tuple[Forward, ...]) -> None:
        """Count a link that an earlier host agent made as used; `sweep` puts it in force. Raises NoAddress."""
        packed = ipaddress.IPv4Address(link.address).packed
        if self._base is None:
            self._claim_network(packed[1])
        self._addresses.adopt(packed[2] << 8 | packed[3], network)
        if forwards:
            self._forwards[link.address] = forwards

    def reserve(self, network: str, forwards: tuple[Forward, ...]) -> Link:
        """An address nobody has, in blocks of this network, and the ports that are to lead to it.

        Undone by `release`. Raises NoAddress, PortTaken, OSError.
        """
        if self._base is None:
            self._claim_network(None)
        number, changed = self._addresses.take(network)
        link = self._link(number)
        try:
            if forwards:
                self._claims.take(self._firewall.front, [(one.protocol, one.port) for one in forwards])
                self._forwards[link.address] = forwards
            if changed or not self._active:
                self._install()
            elif forwards:
                self._firewall.add_forwards(f"10.{self._base}.0.0/16", link.address, forwards)
            self._allow_forwarding()
        except (OSError, PortTaken, subprocess.SubprocessError):
            self.release(link)
            raise
        return link

    def connect(self, link: Link, pid: int) -> None:
        """Lay the cable into the network namespace of process `pid`; its end there is called eth0."""
        with contextlib.suppress(OSError):
            self._netlink.delete_link(link.interface)  # left by a machine that died half made
        index = self._netlink.add_pair(link.interface, "eth0", pid)
        self._netlink.add_address(index, link.gateway)
        self._netlink.add_route(index, link.address)
        _admit_loopback(link.interface)

    def is_gone(self, link: Link) -> bool:
        """Has the kernel taken the host's end away (it does so soon after the last process of the machine)?"""
        return not os.path.exists(f"/sys/class/net/{link.interface}")

    def disconnect(self, link: Link) -> None:
        """Remove the cable now; harmless when it is gone."""
        with contextlib.suppress(OSError):
            self._netlink.delete_link(link.interface)

    def release(self, link: Link) -> None:
        """The address may be given out again, and nothing leads to it any more."""
        forwards = self._forwards.pop(link.address, ())
        self._claims.give_back((one.protocol, one.port) for one in forwards)
        packed = ipaddress.IPv4Address(link.address).packed
        self._addresses.give_back(packed[2] << 8 | packed[3])
        if not self._addresses:
            self._deactivate()
        elif forwards and self._active:
            with contextlib.suppress(OSError, subprocess.SubprocessError):
                self._firewall.remove_forwards(link.address, forwards)

    def sweep(self) -> None:
        """Remove interfaces of this data directory that belong to no known machine, and the table when none is left;
        else put the table in force as it should be."""
        keep = (
            {self._link(number).interface for number in self._addresses.used()}
            if self._base is not None
            else set()
        )
        for name in os.listdir("/sys/class/net"):
            if name.startswith(self._prefix) and name not in keep:
                with contextlib.suppress(OSError):
                    self._netlink.delete_link(name)
        if not self._addresses:
            self._active = self.unusable is None
            self._deactivate()
            return
        self._claim_again()
        self._install()
        self._allow_forwarding()

    def close(self) -> None:
        """Let go of sockets; links stay."""
        self._netlink.close()
        if self._claim is not None:
            self._claim.close()

    def _link(self, number: int) -> Link:
        assert self._base is not None
        address = f"10.{self._base}.{number >> 8}.{number & 255}"
        return Link(address, f"10.{self._base}.0.1", f"{self._prefix}{number:04x}")

    def _claim_network(self, wanted: int | None) -> None:
        """Data directories of one host share 10.201..10.250; an abstract socket name is the claim."""
        routed = _routed_networks(self._prefix)
        for base in [wanted] if wanted is not None else range(_FIRST_NETWORK, _LAST_NETWORK + 1):
            if wanted is None and base in routed:
                continue
            claim = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
            try:
                claim.bind(f"\0poolwright-network-10.{base}")
            except OSError:
                claim.close()
                continue
            self._claim, self._base = claim, base
            return
        raise NoAddress(f"networks 10.{_FIRST_NETWORK}-{_LAST_NETWORK}.0.0/16 are all taken on this host")

    def _claim_again(self) -> None:
        """Hold the ports of living machines at the address where they are reached now; who took one meanwhile is
        led past."""
        for forwards in self._forwards.values():
            ports = [(one.protocol, one.port) for one in forwards]
            self._claims.give_back(ports)
            with contextlib.suppress(OSError, PortTaken):
                self._claims.take(self._firewall.front, ports)

    def _install(self) -> None:
        base = f"10.{self._base}"
        blocks = [(f"{base}.{first >> 8}.{first & 255}/26", mark) for first, mark in self._addresses.blocks()]
        self._firewall.install(f"{base}.0.0/16", blocks, self._forwards)
        self._active = True

    def _allow_forwarding(self) -> None:
        if self._forwarding:
            return
        with _host_state() as directory:
            note = os.path.join(directory, "ip_forward")
            if not os.path.exists(note):
                with open(_FORWARDING, encoding="ascii") as stream:
                    before = stream.read()
                with open(note, "w", encoding="ascii") as stream:
                    stream.write(before)
            with open(_FORWARDING, "w", encoding="ascii") as stream:
                stream.write("1")
        self._forwarding = True

    def _deactivate(self) -> None:
        if not self._active:
            return
        self._active = self._forwarding = False
        self._addresses.clear()
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            self._firewall.remove()
            with _host_state() as directory:
                note = os.path.join(directory, "ip_forward")
                if other_tables() or not os.path.exists(note):
                    return
                with open(note, encoding="ascii") as stream:
                    before = stream.read()
                with open(_FORWARDING, "w", encoding="ascii") as stream:
                    stream.write(before)
                os.unlink(note)


def configure_inside(link: Link | None) -> None:
    """Run by the machine itself: bring up loopback and, with a link, eth0 with its address and default route."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as control:
        _up(control, "lo")
        if link is None:
            return
        _ioctl_address(control, 0x8916, "eth0", link.address)  # SIOCSIFADDR
        _ioctl_address(control, 0x891C, "eth0", "255.255.255.255")  # SIOCSIFNETMASK
        _up(control, "eth0")
        _add_route(control, link.gateway, "255.255.255.255", None)
        _add_route(control, "0.0.0.0", "0.0.0.0", link.gateway)


def free_low_ports(proc: int) -> None:
    """Run by the machine itself, with the host's /proc: its root may listen below port 1024 (an SSH server, say).

    The machine's network belongs to the host's user namespace, where its root has no power; so every user of the
    machine may (ip-sysctl: ip_unprivileged_port_start). A host that forbids the setting keeps those ports closed.
    """
    with contextlib.suppress(OSError):
        setting = os.open("sys/net/ipv4/ip_unprivileged_port_start", os.O_WRONLY | os.O_CLOEXEC, dir_fd=proc)
        try:
            os.write(setting, b"0")
        finally:
            os.close(setting)


def _admit_loopback(interface: str) -> None:
    """Let pass here what host programs send from 127.0.0.1 through a forwarded port, and what the service answers to
    machines when it listens there (ip-sysctl: route_localnet).

    The machine itself gains nothing: the table drops whatever it sends to the host's loopback network.
    """
    with open(f"/proc/sys/net/ipv4/conf/{interface}/route_localnet", "w", encoding="ascii") as stream:
        stream.write("1")


def _sockaddr(address: str) -> bytes:
    return struct.pack("HH4s8x", socket.AF_INET, 0, socket.inet_aton(address))


def _up(control: socket.socket, name: str) -> None:
    request = struct.pack("16sH14x", name.encode(), 0x1 | 0x40)  # IFF_UP | IFF_RUNNING
    fcntl.ioctl(control, 0x8914, request)  # SIOCSIFFLAGS


def _ioctl_address(control: socket.socket, code: int, name: str, address: str) -> None:
    fcntl.ioctl(control, code, struct.pack("16s16s", name.encode(), _sockaddr(address)))


def _add_route(control: socket.socket, target: str, mask: str, gateway: str | None) -> None:
    """SIOCADDRT with a struct rtentry: pad, dst, gateway, genmask, flags, pads, metric, device name pointer."""
    device = ctypes.create_string_buffer(b"eth0")
    flags = 0x1 | (0x2 if gateway else 0x4)  # RTF_UP | (RTF_GATEWAY or RTF_HOST)
    entry = struct.pack(
        "@L16s16s16sHhLPhPLLH",
        0,
        _sockaddr(target),
        _sockaddr(gateway or "0.0.0.0"),
        _sockaddr(mask),
        flags,
        0,
        0,
        0,
        0,
        ctypes.addressof(device),
        0,
        0,
        0,
    )
    fcntl.ioctl(control, 0x890B, entry)


def _routed_networks(own_prefix: str) -> set[int]:
    found = set()
    with open("/proc/net/route", encoding="ascii") as stream:
        next(stream, None)
        for line in stream:
            name, target = line.split()[:2]
            packed = struct.pack("=I", int(target, 16))
            if packed[0] == 10 and not name.startswith(own_prefix):
                found.add(packed[1])
    return found


@contextlib.contextmanager
def _host_state() -> Iterator[str]:
    """The directory where data directories of this host share what they changed, held alone for a moment."""
    os.makedirs(_SHARED_STATE, mode=0o755, exist_ok=True)
    with open(os.path.join(_SHARED_STATE, "lock"), "w", encoding="ascii") as lock:
        deadline = time.monotonic() + 10
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.01)
        yield _SHARED_STATE
