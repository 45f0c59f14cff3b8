"""One packet filter table a data directory: the way out of machines, who reaches whom, and forwarded ports.

Who may come through a forwarded port is judged when a connection begins, by its true source, before its destination
is translated; so the kernel relays, and connections outlive service and host agent. The whole table is replaced in
one step, so there is never a moment without it.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

_SERVICE_NETWORK = "VirtualNetwork"


#: The table without its elements; words in capitals are filled in.
_TABLE = """table ip TABLE {
set front_hosts { type ipv4_addr; flags interval; elements = { FRONT } }
set own_ports { type inet_service; OWN_PORT }
set open_ports { type inet_service; OPEN_PORTS }
map front { type inet_proto . inet_service : ipv4_addr . inet_service; }
set live { type inet_proto . ipv4_addr . inet_service; }
map guards { type inet_proto . inet_service : verdict; }
map groups { type ipv4_addr : mark; flags interval; }
set members { type mark . ipv4_addr; flags interval; }
chain loopback {
type filter hook prerouting priority raw;
iifname OURS ip daddr 127.0.0.0/8 drop
}
chain judge {
ct state new meta l4proto { tcp, udp } fib daddr type local ip daddr @front_hosts meta l4proto . th dport vmap @guards
}
chain judge_coming {
type filter hook prerouting priority mangle;
jump judge
}
chain judge_own {
type filter hook output priority mangle;
jump judge
}
chain lead {
tcp dport @own_ports return
meta l4proto { tcp, udp } fib daddr type local ip daddr @front_hosts dnat ip to meta l4proto . th dport map @front
}
chain lead_coming {
type nat hook prerouting priority dstnat;
TO_SERVICE
jump lead
}
chain lead_own {
type nat hook output priority -100;
jump lead
}
chain live_only {
type filter hook postrouting priority filter;
oifname OURS ct direction original ct status dnat meta l4proto . ip daddr . th dport != @live drop
}
chain postrouting {
type nat hook postrouting priority srcnat;
ip saddr NETWORK oifname != OURS masquerade
ip saddr { 127.0.0.0/8, NETWORK } oifname OURS ct status dnat masquerade
}
chain forward {
type filter hook forward priority filter;
ip saddr NETWORK ip daddr 169.254.0.0/16 meta l4proto { tcp, udp } th dport != 53 drop
oifname OURS ct status dnat accept
iifname OURS oifname OURS meta mark set ip saddr map @groups
iifname OURS oifname OURS meta mark . ip daddr @members accept
iifname OURS oifname OURS drop
oifname OURS ct state established,related accept
oifname OURS drop
ip daddr NETWORK drop
}
chain input {
type filter hook input priority filter;
iifname != OURS accept
ct state established,related accept
tcp dport @own_ports accept
meta l4proto { tcp, udp } th dport @open_ports accept
meta l4proto { tcp, udp } th dport 53 accept
icmp type echo-request accept
reject
}
}"""


@dataclass(frozen=True)
class Forward:
    """A port of the host that leads to a port of a machine; `sources` in their JSON form."""

    protocol: str
    port: int
    to: int
    sources: str  # JSON of a list of {"allow", "network", "ports"}; hashable

    @staticmethod
    def read(item: dict[str, Any]) -> Forward:
        """From the form of requests and records. Raises ValueError, KeyError or TypeError."""
        protocol, port, to = str(item["protocol"]), int(item["port"]), int(item["to"])
        if protocol not in ("tcp", "udp") or not 0 < port < 65536 or not 0 < to < 65536:
            raise ValueError(f"forwards: {protocol} {port} to {to}: tcp or udp, ports from 1 to 65535")
        sources = [
            {
                "allow": bool(source["allow"]),
                "network": str(source["network"]),
                "ports": [[int(first), int(last)] for first, last in source.get("ports") or []],
            }
            for source in item.get("sources") or []
        ]
        return Forward(protocol, port, to, json.dumps(sources, sort_keys=True))

    def as_json(self) -> dict[str, Any]:
        """The form of requests and records."""
        sources = json.loads(self.sources)
        return {"protocol": self.protocol, "port": self.port, "to": self.to, "sources": sources}

    @property
    def guard(self) -> str:
        """Name of the chain that judges sources; forwards of the same rules share it."""
        return f"from_{hashlib.sha256(self.sources.encode()).hexdigest()[:16]}"

    @property
    def guarded(self) -> bool:
        return self.sources != "[]"


class Firewall:
    """The table of one data directory."""

    def __init__(self, table: str, prefix: str) -> None:
        self._table = table
        self._prefix = prefix
        self.front = "127.0.0.1"
        self.own_port: int | None = None
        self.open_ports: tuple[int, ...] = ()

    def install(
        self, network: str, blocks: Iterable[tuple[str, int]], forwards: dict[str, tuple[Forward, ...]]
    ) -> None:
        """Put the table in force: `blocks` are (block of addresses, mark of its group), `forwards` by address."""
        lines = [f"table ip {self._table} {{}}", f"delete table ip {self._table}", self._tables(network)]
        for block, mark in blocks:
            lines += self._block(block, mark)
        for address, given in forwards.items():
            lines += self._forward(network, address, given)
        run("\n".join(lines) + "\n")

    def add_forwards(self, network: str, address: str, given: tuple[Forward, ...]) -> None:
        """Lead these ports to the machine at `address`."""
        run("\n".join(self._forward(network, address, given)) + "\n")

    def remove_forwards(self, address: str, given: tuple[Forward, ...]) -> None:
        """Nothing leads to the machine any more, no old connection either. Chains of rules stay until `install`."""
        name = self._table
        lines = []
        for one in given:
            lines.append(f"delete element ip {name} front {{ {one.protocol} . {one.port} }}")
            lines.append(f"delete element ip {name} live {{ {one.protocol} . {address} . {one.to} }}")
            if one.guarded:
                lines.append(f"delete element ip {name} guards {{ {one.protocol} . {one.port} }}")
        run("\n".join(lines) + "\n")

    def remove(self) -> None:
        """Take the table away."""
        run(f"table ip {self._table} {{}}\ndelete table ip {self._table}\n")

    def _block(self, block: str, mark: int) -> list[str]:
        name = self._table
        return [
            f"add element ip {name} groups {{ {block} : {mark} }}",
            f"add element ip {name} members {{ {mark} . {block} }}",
        ]

    def _forward(self, network: str, address: str, given: tuple[Forward, ...]) -> list[str]:
        name, lines = self._table, []
        for one in given:
            key = f"{one.protocol} . {one.port}"
            if one.guarded:
                lines += self._guard(network, one)
                lines.append(f"add element ip {name} guards {{ {key} : jump {one.guard} }}")
            lines.append(f"add element ip {name} live {{ {one.protocol} . {address} . {one.to} }}")
            lines.append(f"add element ip {name} front {{ {key} : {address} . {one.to} }}")
        return lines

    def _guard(self, network: str, one: Forward) -> list[str]:
        lines = [f"add chain ip {self._table} {one.guard}", f"flush chain ip {self._table} {one.guard}"]
        at = f"add rule ip {self._table} {one.guard}"
        for source in json.loads(one.sources):
            words = [_from(source["network"], network)]
            if source["ports"]:
                ranges = ", ".join(
                    f"{first}-{last}" if last > first else f"{first}" for first, last in source["ports"]
                )
                words.append(f"th sport {{ {ranges} }}")
            words.append("accept" if source["allow"] else "drop")
            lines.append(" ".join([at, *filter(None, words)]))
        return [*lines, f"{at} drop"]

    def _tables(self, network: str) -> str:
        own = f"elements = {{ {self.own_port} }}" if self.own_port else ""
        opened = f"elements = {{ {', '.join(map(str, self.open_ports))} }}" if self.open_ports else ""
        service = f"iifname OURS fib daddr type local tcp dport @own_ports dnat ip to {self.front}"
        front = "0.0.0.0/0" if self.front == "0.0.0.0" else self.front
        return (
            _TABLE.replace("TO_SERVICE", "" if self.front == "0.0.0.0" else service)
            .replace("TABLE", self._table)
            .replace("NETWORK", network)
            .replace("OURS", f'"{self._prefix}*"')
            .replace("FRONT", front)
            .replace("OWN_PORT", own)
            .replace("OPEN_PORTS", opened)
        )


def _from(source: str, network: str) -> str:
    """The match on where a packet comes from; empty: from anywhere."""
    if source == "*":
        return ""
    if source == "Internet":
        return f"ip saddr != {network}"
    return f"ip saddr {network if source == _SERVICE_NETWORK else source}"


def run(rules: str) -> None:
    """Have the kernel take these commands, all or none. Raises OSError."""
    result = subprocess.run(
        ["nft", "-f", "-"], input=rules, capture_output=True, text=True, timeout=20, check=False
    )
    if result.returncode != 0:
        raise OSError(f"nft: {result.stderr.strip()[:400]}")


def other_tables() -> bool:
    """Whether any data directory of this host has a table."""
    result = subprocess.run(
        ["nft", "list", "tables", "ip"], capture_output=True, text=True, timeout=20, check=False
    )
    return " poolwright_" in result.stdout
