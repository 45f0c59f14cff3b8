"""How transfers are carried to the host agent."""

from __future__ import annotations

import logging
import os
import ssl
from pathlib import Path

from poolwright.domain.limits import TRANSFER_S_MAX
from poolwright.engines.base import EngineError
from poolwright.engines.hub import AgentHub
from poolwright.reconcile.fleet import Json

_AGENT_COMES_S = 60.0
_STOP_S = 30.0
_CERTIFICATES = "SSL_CERT_FILE"
_log = logging.getLogger(__name__)


def trusted_file() -> str:
    """The file of certificates (PEM) that SSL_CERT_FILE names: transfers trust those besides the host's store. Empty
    when there is none; one that cannot be used is left out with a warning."""
    given = os.environ.get(_CERTIFICATES)
    if not given:
        return ""
    path = Path(given).absolute()
    try:
        ssl.create_default_context(cadata=path.read_text("ascii", "ignore"))
    except (OSError, ssl.SSLError, ValueError) as error:
        _log.warning("%s=%s is not used: it has no certificates to trust: %s", _CERTIFICATES, path, error)
        return ""
    return str(path)


class HubCarrier:
    """See reconcile/transfers.py, Carrier."""

    def __init__(self, hub: AgentHub, port: int, authority: str, trusted: str = "") -> None:
        """`port` and `authority` (PEM): how the service's own blob storage is reached and known. `trusted`: a file of
        certificates that are trusted too."""
        self._hub = hub
        self._own = {"port": port, "authority": authority, "trusted": trusted}

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
