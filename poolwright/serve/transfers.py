"""How transfers are carried to the host agent."""

from __future__ import annotations

from poolwright.domain.limits import TRANSFER_S_MAX
from poolwright.engines.base import EngineError
from poolwright.engines.hub import AgentHub
from poolwright.reconcile.fleet import Json

_AGENT_COMES_S = 60.0
_STOP_S = 30.0


class HubCarrier:
    """See reconcile/transfers.py, Carrier."""

    def __init__(self, hub: AgentHub, port: int, authority: str) -> None:
        """`port` and `authority` (PEM): how the service's own blob storage is reached and known."""
        self._hub = hub
        self._own = {"port": port, "authority": authority}

    async def run(self, machine: str, fence: int, id: str, job: Json) -> Json:
        """Have a job done beside the host agent."""
        while not self._hub.connected:
            try:
                await self._hub.wait_connected(_AGENT_COMES_S)
            except EngineError:
                continue
        params = {"machine": machine, "fence": fence, "id": id, "job": {**job, "own": self._own}}
        return await self._hub.call("transfer", params, TRANSFER_S_MAX)

    async def stop(self, id: str) -> None:
        """End a job."""
        await self._hub.call("transfer.stop", {"id": id}, _STOP_S)
