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
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from poolwright.engines.sandbox.host.netlink import Netlink

_FIRST_NETWORK, _LAST_NETWORK = 201, 250  # 10.201.0.0/16 unless another data directory has it
_SHARED_STATE = "/run/poolwright"
_FORWARDING = "/proc/sys/net/ipv4/ip_forward"
_HOSTS_PER_NETWORK = 65_000


class NoAddress(Exception):
    """Every address of the machine network is in use."""


@dataclass(frozen=True)
class Link:
    """The network of one machine: address inside, gateway, name of the host's end."""

    address: str
    gateway: str
    interface: str


class Network:
    """Makes and removes links. Nothing is changed on the host before the first one."""

    def __init__(self, tag: str, run_dir: str) -> None:
        self._tag = tag
        self._prefix = f"pw{tag}-"  # an interface name has at most 15 characters: 2 + 8 + 1 + 4
        self._table = f"poolwright_{tag}"
        self._run_dir = run_dir
        self._netlink = Netlink()
        self._base: int | None = None  # second byte of the network
        self._claim: socket.socket | None = None
        self._used: set[int] = set()
        self._retired: deque[int] = deque()
        self._next = 2
        self._active = False
        self.unusable = self._why_unusable()

    def _why_unusable(self) -> str | None:
        if os.geteuid() != 0:
            return "the host agent is not root"
        if shutil.which("nft") is None:
            return "the nft program (package nftables) is not installed"
        return None

    def adopt(self, link: Link) -> None:
        """Count a link that an earlier host agent made as used."""
        packed = ipaddress.IPv4Address(link.address).packed
        if self._base is None:
            self._claim_network(packed[1])
        self._used.add(packed[2] << 8 | packed[3])
        self._activate()

    def reserve(self) -> Link:
        """An address nobody has. Undone by `release`."""
        if self._base is None:
            self._claim_network(None)
        self._activate()
        number = self._free_number()
        self._used.add(number)
        return self._link(number)

    def connect(self, link: Link, pid: int) -> None:
        """Lay the cable into the network namespace of process `pid`; its end there is called eth0."""
        with contextlib.suppress(OSError):
            self._netlink.delete_link(link.interface)  # left by a machine that died half made
        index = self._netlink.add_pair(link.interface, "eth0", pid)
        self._netlink.add_address(index, link.gateway)
        self._netlink.add_route(index, link.address)

    def is_gone(self, link: Link) -> bool:
        """Has the kernel taken the host's end away (it does so soon after the last process of the machine)?"""
        return not os.path.exists(f"/sys/class/net/{link.interface}")

    def disconnect(self, link: Link) -> None:
        """Remove the cable now; harmless when it is gone."""
        with contextlib.suppress(OSError):
            self._netlink.delete_link(link.interface)

    def release(self, link: Link) -> None:
        """The address may be given out again."""
        packed = ipaddress.IPv4Address(link.address).packed
        number = packed[2] << 8 | packed[3]
        if number in self._used:
            self._used.discard(number)
            self._retired.append(number)
        if not self._used:
            self._deactivate()

    def sweep(self) -> None:
        """Remove interfaces of this data directory that belong to no known machine, and the table when none is left."""
        keep = {self._link(number).interface for number in self._used} if self._base is not None else set()
        for name in os.listdir("/sys/class/net"):
            if name.startswith(self._prefix) and name not in keep:
                with contextlib.suppress(OSError):
                    self._netlink.delete_link(name)
        if not self._used:
            self._active = self.unusable is None
            self._deactivate()

    def close(self) -> None:
        """Let go of sockets; links stay."""
        self._netlink.close()
        if self._claim is not None:
            self._claim.close()

    def _link(self, number: int) -> Link:
        assert self._base is not None
        address = f"10.{self._base}.{number >> 8}.{number & 255}"
        return Link(address, f"10.{self._base}.0.1", f"{self._prefix}{number:04x}")

    def _free_number(self) -> int:
        if self._next < _HOSTS_PER_NETWORK:
            while self._next in self._used:
                self._next += 1
            self._next += 1
            return self._next - 1
        if self._retired:
            return self._retired.popleft()
        raise NoAddress(f"all {_HOSTS_PER_NETWORK} machine addresses are in use")

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

    def _activate(self) -> None:
        if self._active:
            return
        network = f"10.{self._base}.0.0/16"
        _run_nft(
            f"table ip {self._table} {{}}\nflush table ip {self._table}\n"
            f"table ip {self._table} {{\nchain postrouting {{\ntype nat hook postrouting priority srcnat;\n"
            f'ip saddr {network} oifname != "{self._prefix}*" masquerade\n}}\n'
            f"chain forward {{\ntype filter hook forward priority filter;\n"  # what no machine has stays here
            f'ip daddr {network} oifname != "{self._prefix}*" drop\n'
            # A cloud's instance metadata answers there with this host's credentials; some hosts' resolver is there too.
            f"ip saddr {network} ip daddr 169.254.0.0/16 meta l4proto {{ tcp, udp }} th dport != 53 drop\n}}\n}}\n"
        )
        with _host_state() as directory:
            note = os.path.join(directory, "ip_forward")
            if not os.path.exists(note):
                with open(_FORWARDING, encoding="ascii") as stream:
                    before = stream.read()
                with open(note, "w", encoding="ascii") as stream:
                    stream.write(before)
            with open(_FORWARDING, "w", encoding="ascii") as stream:
                stream.write("1")
        self._active = True

    def _deactivate(self) -> None:
        if not self._active:
            return
        self._active = False
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            _run_nft(f"table ip {self._table} {{}}\ndelete table ip {self._table}\n")
            with _host_state() as directory:
                note = os.path.join(directory, "ip_forward")
                if _other_tables() or not os.path.exists(note):
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


def _run_nft(rules: str) -> str:
    result = subprocess.run(
        ["nft", "-f", "-"], input=rules, capture_output=True, text=True, timeout=20, check=False
    )
    if result.returncode != 0:
        raise OSError(f"nft: {result.stderr.strip()[:400]}")
    return result.stdout


def _other_tables() -> bool:
    result = subprocess.run(
        ["nft", "list", "tables", "ip"], capture_output=True, text=True, timeout=20, check=False
    )
    return " poolwright_" in result.stdout


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
