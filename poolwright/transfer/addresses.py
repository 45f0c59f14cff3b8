"""Which addresses may be connected to, and HTTP sessions that obey it.

Users name the servers, the host's network is used: addresses on which hosts and clouds keep credentials are never
reached, whatever a name resolves to, also after a redirect. Judged is the address of each connection, not the name.
"""

from __future__ import annotations

import ipaddress
import socket
import ssl
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import NewConnectionError
from urllib3.poolmanager import PoolManager
from urllib3.util.ssl_ import create_urllib3_context

from poolwright import __version__

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

CONNECT_S = 20.0
READ_S = 60.0  # without a byte
_REDIRECTS_MAX = 5
_SYSTEM_CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"
_NAT64 = ipaddress.ip_network("64:ff9b::/96")

#: Refused unless the operator names a network that holds them.
REFUSED: tuple[Network, ...] = tuple(
    ipaddress.ip_network(text)
    for text in (
        "0.0.0.0/8",  # "this host": another way to write loopback
        "169.254.0.0/16",  # link-local: metadata services of clouds
        "168.63.129.16/32",  # Azure's own host service
        "100.100.100.200/32",  # metadata of another cloud
        "224.0.0.0/3",  # multicast, reserved, broadcast
        "::/128",
        "fe80::/10",
        "fd00:ec2::/32",  # metadata of another cloud
        "ff00::/8",
    )
)


class AddressRefused(Exception):
    """The operator's rules, or ours, forbid this address. No error of the HTTP libraries, so that none tries again."""


class Policy:
    """`allowed`: the operator's networks (CIDR); None for everything that is not in REFUSED, loopback too. `own_port`:
    where the service itself answers on loopback, whatever the networks are: its blob storage is there."""

    def __init__(self, allowed: Sequence[str] | None = None, own_port: int | None = None) -> None:
        self._allowed = None if allowed is None else [ipaddress.ip_network(text) for text in allowed]
        self._own_port = own_port

    def permits(self, text: str, port: int | None = None) -> bool:
        """Whether an address may be connected to."""
        address = plain(ipaddress.ip_address(text.partition("%")[0]))
        if port is not None and port == self._own_port and address.is_loopback:
            return True
        if self._allowed is not None:
            return any(address in network for network in self._allowed)
        return not any(address in network for network in REFUSED)


def plain(address: Address) -> Address:
    """The IPv4 address inside an IPv6 one that only wraps it."""
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return address.ipv4_mapped
        if address in _NAT64:
            return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def session(policy: Policy, connections: int = 8, authority: str = "") -> requests.Session:
    """A session for http and https that connects to permitted addresses only, without proxies or stored logins.

    Certificates are judged by the host's store, so that an operator's own authority counts, and by `authority` (PEM):
    the service's own, and those of the operator's file (serve/transfers.py).
    """
    made = requests.Session()
    made.trust_env = False
    made.max_redirects = _REDIRECTS_MAX
    made.verify = certificates()
    made.headers["User-Agent"] = f"poolwright/{__version__}"
    adapter = _Adapter(policy, connections, authority)
    made.mount("http://", adapter)
    made.mount("https://", adapter)
    return made


def certificates() -> str | bool:
    """The host's certificate store; True (the library's) where there is none."""
    return _SYSTEM_CERTIFICATES if Path(_SYSTEM_CERTIFICATES).exists() else True


def tls_fault(fault: BaseException) -> ssl.SSLError | None:
    """What TLS itself said, inside what the HTTP libraries made of it."""
    inner: object = fault
    while isinstance(inner, BaseException) and not isinstance(inner, ssl.SSLError):
        inner = getattr(inner, "reason", None) or (inner.args[0] if inner.args else None)
    return inner if isinstance(inner, ssl.SSLError) else None


class _Adapter(HTTPAdapter):
    def __init__(self, policy: Policy, connections: int, authority: str) -> None:
        self._policy = policy
        self._context = create_urllib3_context()
        if authority:
            self._context.load_verify_locations(cadata=authority)
        super().__init__(pool_connections=4, pool_maxsize=connections)

    def init_poolmanager(self, connections: int, maxsize: int, block: bool = False, **more: Any) -> None:
        manager = PoolManager(
            num_pools=connections, maxsize=maxsize, block=block, ssl_context=self._context, **more
        )
        manager.pool_classes_by_scheme = pools(self._policy)
        self.poolmanager = manager


def pools(policy: Policy) -> dict[str, type[HTTPConnectionPool]]:
    """Connection pools whose connections ask the policy."""

    class Plain(HTTPConnection):
        def _new_conn(self) -> socket.socket:
            return _connect(self, policy)

    class Secure(HTTPSConnection):
        def _new_conn(self) -> socket.socket:
            return _connect(self, policy)

    class PlainPool(HTTPConnectionPool):
        ConnectionCls = Plain

    class SecurePool(HTTPSConnectionPool):
        ConnectionCls = Secure

    return {"http": PlainPool, "https": SecurePool}


def _connect(connection: HTTPConnection, policy: Policy) -> socket.socket:
    """Connect to the first permitted address of the name: it is looked up once, so it cannot change in between."""
    host, port = connection.host.strip("[]"), connection.port
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise NewConnectionError(connection, f"{host}: the name cannot be resolved: {error}") from None
    permitted = [entry for entry in found if policy.permits(str(entry[4][0]), port)]
    if not permitted:
        raise AddressRefused("this service does not connect to that address")
    last: OSError | None = None
    for family, kind, number, _, where in permitted:
        sock = socket.socket(family, kind, number)
        try:
            sock.settimeout(CONNECT_S)
            sock.connect(where)
        except OSError as error:
            sock.close()
            last = error
            continue
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock
    raise NewConnectionError(connection, f"{host}:{port}: {last}")
