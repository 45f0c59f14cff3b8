"""What births and endings of machines share: the host's parts and the loop they run in."""

from __future__ import annotations

from dataclasses import dataclass

from poolwright.agent.loop import Loop
from poolwright.engines.sandbox.host.cgroups import ControlGroups
from poolwright.engines.sandbox.host.disks import Disks
from poolwright.engines.sandbox.host.layout import Layout
from poolwright.engines.sandbox.host.network import Network
from poolwright.engines.sandbox.host.zygote import Zygote


@dataclass
class Host:
    """Parts of this host that machines are made of."""

    loop: Loop
    layout: Layout
    disks: Disks
    groups: ControlGroups
    network: Network
    devices: str
    scratch: str
    zygote: Zygote
    grace_s: float
    authority: str = ""  # PEM of what issued the service's certificate


@dataclass(frozen=True)
class Failure:
    """Why a machine was not made or not removed; `kind` is the engine error's name."""

    kind: str
    message: str

    def public(self) -> dict[str, str]:
        return {"kind": self.kind, "message": self.message}
