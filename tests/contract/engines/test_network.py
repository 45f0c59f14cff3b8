"""Who reaches whom, with real packets: forwarded ports, their rules of access, and networks apart from one another."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from poolwright.engines.base import Forward, Machine, MachineRequest, Rejected, Source
from poolwright.engines.sandbox.driver import Exposure, SandboxEngine
from tests.contract.engines.rig import Rig, node
from tests.support.waiting import wait_until

pytestmark = pytest.mark.needs_root

HOST, NEAR, FAR = "198.51.100.1", "198.51.100.2", "198.51.100.130"
#: Answers "NAME FROM" to every connection and datagram; says "up" once it can.
SERVER = """
import select, socket, sys
name, port = sys.argv[1], int(sys.argv[2])
tcp = socket.create_server(("0.0.0.0", port)); udp = socket.socket(type=socket.SOCK_DGRAM); udp.bind(("0.0.0.0", port))
print("up", flush=True)
while True:
    for ready in select.select([tcp, udp], [], [])[0]:
        if ready is tcp:
            peer, address = tcp.accept(); peer.sendall(f"{name} {address[0]}".encode()); peer.close()
        else:
            _, address = udp.recvfrom(99); udp.sendto(f"{name} {address[0]}".encode(), address)
"""
#: Asks once and prints the answer, or why there is none. Arguments: protocol, address, port, own address, own port.
CLIENT = """
import socket, sys
protocol, address, port, source, source_port = sys.argv[1:]
made = socket.socket(type=socket.SOCK_STREAM if protocol == "tcp" else socket.SOCK_DGRAM)
made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
made.settimeout(0.7)
try:
    made.bind((source, int(source_port)))
    made.connect((address, int(port)))
    if protocol == "udp":
        made.send(b"?")
    print(made.recv(99).decode())
except OSError as error:
    print(f"no: {type(error).__name__}")
"""


class Network:
    """Programs on the host, in machines and on a made-up machine next to the host."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        self.beside = f"pwt{uuid.uuid4().hex[:8]}"
        self._servers: list[subprocess.Popen[str]] = []

    def open(self) -> None:
        """Lay a cable to a neighbour with two addresses."""
        for words in (
            f"netns add {self.beside}",
            f"link add {self.beside} type veth peer name eth0 netns {self.beside}",
            f"addr add {HOST}/24 dev {self.beside}",
            f"link set {self.beside} up",
            f"-n {self.beside} addr add {NEAR}/24 dev eth0",
            f"-n {self.beside} addr add {FAR}/24 dev eth0",
            f"-n {self.beside} link set eth0 up",
            f"-n {self.beside} route add default via {HOST}",
        ):
            subprocess.run(["ip", *words.split()], check=True)

    def close(self) -> None:
        for server in self._servers:
            server.kill()
            server.communicate()
        subprocess.run(["ip", "link", "del", self.beside], check=False, capture_output=True)
        subprocess.run(["ip", "netns", "del", self.beside], check=False, capture_output=True)

    def serve(self, machine: str, port: int) -> None:
        """A server in the machine's network."""
        self.serve_at(["nsenter", "-t", str(self.rig.pid_of(machine)), "-n"], machine, port)

    def serve_at(self, where: list[str], name: str, port: int) -> None:
        command = [*where, sys.executable, "-I", "-S", "-c", SERVER, name, str(port)]
        server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self._servers.append(server)
        assert server.stdout is not None
        assert server.stdout.readline() == "up\n"

    def inside(self, machine: str, address: str | None, port: int, protocol: str = "tcp") -> str:
        """What a program in the machine is answered."""
        where = ["nsenter", "-t", str(self.rig.pid_of(machine)), "-n"]
        return _ask(where, protocol, str(address), port, "0.0.0.0", 0)

    def here(self, port: int, protocol: str = "tcp", address: str = "127.0.0.1") -> str:
        """What a program of the host is answered."""
        return _ask([], protocol, address, port, "0.0.0.0", 0)

    def near(self, port: int, protocol: str = "tcp", address: str = HOST, source_port: int = 0) -> str:
        """What the neighbour is answered, from its first address."""
        return _ask(["ip", "netns", "exec", self.beside], protocol, address, port, NEAR, source_port)

    def far(self, port: int, protocol: str = "tcp") -> str:
        """What the neighbour is answered, from its second address."""
        return _ask(["ip", "netns", "exec", self.beside], protocol, HOST, port, FAR, 0)


def _ask(where: list[str], protocol: str, address: str, port: int, source: str, source_port: int) -> str:
    words = [protocol, address, str(port), source, str(source_port)]
    command = [*where, sys.executable, "-I", "-S", "-c", CLIENT, *words]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture
def network(rig: Rig) -> Iterator[Network]:
    made = Network(rig)
    try:
        made.open()
        yield made
    finally:
        made.close()


async def made(
    rig: Rig, *requests: MachineRequest, front: str = "0.0.0.0", port: int = 0, opened: tuple[int, ...] = ()
) -> list[Machine]:
    """Machines that must come up, with a network."""
    engine = SandboxEngine(rig.hub, exposure=Exposure(front, port or None, opened))
    await engine.capabilities()
    outcomes = await engine.create(requests)
    machines = [outcome for outcome in outcomes if isinstance(outcome, Machine)]
    assert len(machines) == len(outcomes), outcomes
    if any(machine.address is None for machine in machines):
        pytest.skip(f"no machine network here: {machines[0].notes}")
    return machines


def both(port: int, to: int, *sources: Source) -> tuple[Forward, ...]:
    return Forward("tcp", port, to, sources), Forward("udp", port, to, sources)


async def test_ports_lead_to_machines_by_tcp_and_udp(rig: Rig, image: Path, network: Network) -> None:
    requests = [
        node("a", image, network="p", forwards=both(8101, 700)),
        node("b", image, network="p", forwards=both(8102, 700)),
        node("c", image, network="q", forwards=both(8103, 700)),
    ]
    a, _, _ = await made(rig, *requests)
    for name in ("a", "b", "c"):
        network.serve(name, 700)
    for protocol in ("tcp", "udp"):
        assert network.near(8101, protocol) == f"a {NEAR}", "the machine sees who comes"
        assert network.near(8102, protocol) == f"b {NEAR}"
        assert network.here(8101, protocol).startswith("a "), "from the host's loopback address"
        assert network.here(8102, protocol, HOST) == f"b {HOST}"
        assert network.inside("c", HOST, 8101, protocol).startswith("a "), "another network, by the front"
        assert network.inside("a", HOST, 8101, protocol).startswith("a "), "itself, by the front"
    assert network.near(700, address=str(a.address)).startswith("no"), "past the front there is no way"
    assert network.here(8104) == "no: ConnectionRefusedError"

    await rig.agent.stop()
    assert network.near(8101) == f"a {NEAR}", "while no host agent lives"
    rig.agent.start()
    await rig.hub.wait_connected(20)
    await rig.engine.capabilities()
    assert network.here(8103).startswith("c ")
    assert await rig.engine.delete(["a"]) == [None]
    assert network.near(8101).startswith("no")
    assert network.here(8101).startswith("no")
    await made(rig, node("d", image, network="q", forwards=both(8101, 700)))
    network.serve("d", 700)
    assert network.here(8101, "udp").startswith("d ")


async def test_rules_judge_by_the_true_source(rig: Rig, image: Path, network: Network) -> None:
    near = (Source(False, f"{FAR}/32"), Source(True, "198.51.100.0/24"))
    ports = (Source(True, f"{NEAR}/32", ((40_000, 40_010), (40_100, 40_100))),)
    tags = (Source(False, "VirtualNetwork"), Source(True, "Internet"))
    requests = [
        node("a", image, network="p", forwards=both(8111, 700, *near)),
        node("b", image, network="q", forwards=(*both(8112, 700, *ports), *both(8113, 701, *tags))),
        node("c", image, network="q", forwards=both(8114, 700, Source(True, "VirtualNetwork"))),
    ]
    await made(rig, *requests)
    for name in ("a", "b", "c"):
        network.serve(name, 700)
    network.serve("b", 701)
    for protocol in ("tcp", "udp"):
        assert network.near(8111, protocol) == f"a {NEAR}"
        assert network.far(8111, protocol).startswith("no"), "denied before the network is allowed"
        assert network.here(8111, protocol).startswith("no"), "who fits no rule is kept out"
        assert network.near(8112, protocol, source_port=40_005) == f"b {NEAR}"
        assert network.near(8112, protocol, source_port=40_100) == f"b {NEAR}"
        assert network.near(8112, protocol, source_port=40_011).startswith("no")
        assert network.near(8113, protocol) == f"b {NEAR}"
        assert network.inside("a", HOST, 8113, protocol).startswith("no")
        assert network.inside("a", HOST, 8114, protocol).startswith("c ")
        assert network.near(8114, protocol).startswith("no")


async def test_networks_are_apart_and_so_is_the_host(rig: Rig, image: Path, network: Network) -> None:
    requests = [node("a", image, network="p"), node("b", image, network="p"), node("c", image, network="q")]
    with socket.create_server(("0.0.0.0", 0)) as own, socket.create_server(("0.0.0.0", 0)) as other:
        allowed, hidden = own.getsockname()[1], other.getsockname()[1]
        a, b, c = await made(rig, *requests, port=allowed)
        gateway = f"10.{str(a.address).split('.')[1]}.0.1"
        for name in ("a", "b", "c"):
            network.serve(name, 700)
        network.serve_at(["ip", "netns", "exec", network.beside], "beside", 700)
        for protocol in ("tcp", "udp"):
            assert network.inside("a", b.address, 700, protocol) == f"b {a.address}"
            assert network.inside("a", c.address, 700, protocol).startswith("no")
            assert network.inside("c", a.address, 700, protocol).startswith("no")
            assert network.inside("a", NEAR, 700, protocol) == f"beside {HOST}", "the way out"
        for address in (gateway, HOST):
            assert network.inside("a", address, hidden) == "no: ConnectionRefusedError", (
                "the host's own servers"
            )
            assert network.inside("a", address, allowed) == "no: TimeoutError", (
                "reached: it accepts, and says nothing"
            )
        await made(rig, port=allowed, opened=(hidden,))
        assert network.inside("a", gateway, hidden) == "no: TimeoutError", (
            "opened by the operator, and reached"
        )
        await made(rig, port=allowed)
        assert network.inside("a", gateway, hidden) == "no: ConnectionRefusedError", "closed again"
        await rig.agent.stop()
        rig.agent.start()
        await rig.hub.wait_connected(20)
        assert network.inside("a", b.address, 700) == f"b {a.address}"
        assert network.inside("c", b.address, 700).startswith("no")


async def test_a_port_that_a_program_of_the_host_serves_is_refused(rig: Rig, image: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        request = node("a", image, forwards=(Forward("tcp", port, 700),))
        (outcome,) = await rig.engine.create([request])
        assert isinstance(outcome, Rejected)
        assert f"front-end port {port}/tcp is in use" in str(outcome)
    await made(rig, request, front="127.0.0.1")
    with contextlib.closing(socket.socket()) as late, pytest.raises(OSError, match="in use"):
        late.bind(("127.0.0.1", port))
    await rig.engine.delete(["a"])
    await asyncio.to_thread(wait_until, lambda: _free(port), 10, lambda: f"port {port} is still held")


def _free(port: int) -> bool:
    with contextlib.closing(socket.socket()) as made:
        try:
            made.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
