"""The sandbox engine as the service sees it: the engine contract over calls to the host agent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import msgspec

from poolwright.engines import base
from poolwright.engines.hub import HostLink, error_of

_CREATE_TIMEOUT_S = 120.0
_DELETE_TIMEOUT_S = 120.0
_CALL_TIMEOUT_S = 30.0
_BATCH = 100  # machines of one call: an answer within seconds, so that a lost connection costs little


class CommandResult(msgspec.Struct, frozen=True):
    """End of a run-command script. Output is cut to its last 64 KiB a stream."""

    exit_code: int
    stdout: str
    stderr: str
    timed_out: bool = False


class SandboxEngine:
    """`Engine` over a host agent. Every method may raise `Transient` when the agent is not connected."""

    def __init__(self, link: HostLink) -> None:
        self._link = link

    @property
    def name(self) -> str:
        return "sandbox"

    async def capabilities(self) -> base.Capabilities:
        """What the host can do now; `usable` is False (with the reason) while no agent is connected."""
        try:
            facts = await self._link.call("info", {}, _CALL_TIMEOUT_S)
        except base.Transient as failure:
            missing = base.Missing("host agent", f"no machine can be made: {failure}")
            return base.Capabilities(usable=False, missing=(missing,))
        return msgspec.convert(facts["capabilities"], base.Capabilities)

    async def create(self, requests: Sequence[base.MachineRequest]) -> list[base.Outcome]:
        outcomes: list[base.Outcome] = []
        for start in range(0, len(requests), _BATCH):
            batch = [asdict(request) for request in requests[start : start + _BATCH]]
            answer = await self._link.call("create", {"requests": batch}, _CREATE_TIMEOUT_S)
            outcomes.extend(_created(outcome) for outcome in answer["outcomes"])
        return outcomes

    async def delete(
        self, names: Sequence[str], *, keep_storage: bool = False
    ) -> list[base.EngineError | None]:
        outcomes: list[base.EngineError | None] = []
        for start in range(0, len(names), _BATCH):
            params = {"names": list(names[start : start + _BATCH]), "keep_storage": keep_storage}
            answer = await self._link.call("delete", params, _DELETE_TIMEOUT_S)
            outcomes.extend(
                None if outcome["ok"] else error_of(outcome["error"]) for outcome in answer["outcomes"]
            )
        return outcomes

    async def purge(self, names: Sequence[str]) -> None:
        """Remove what machines that are gone left on disk."""
        await self._link.call("purge", {"names": list(names)}, _DELETE_TIMEOUT_S)

    async def run_command(
        self, machine: str, script: Sequence[str], env: Mapping[str, str], timeout_s: float
    ) -> CommandResult:
        """Run a shell script as root of a build machine.

        Raises `NotFound` for an unknown machine, `Transient` when the machine or the agent is lost meanwhile.
        """
        params: dict[str, Any] = {
            "machine": machine,
            "script": list(script),
            "env": dict(env),
            "timeout_s": timeout_s,
        }
        return msgspec.convert(
            await self._link.call("command", params, timeout_s + _CALL_TIMEOUT_S), CommandResult
        )

    async def close(self) -> None:
        """Nothing to let go of: the link belongs to its owner."""

    async def machines(self) -> list[base.Machine]:
        answer = await self._link.call("list", {}, _CALL_TIMEOUT_S)
        return [msgspec.convert(machine, base.Machine) for machine in answer["machines"]]


def _created(outcome: Mapping[str, Any]) -> base.Outcome:
    if outcome["ok"]:
        return msgspec.convert(outcome["machine"], base.Machine)
    return error_of(outcome["error"])
