"""The sandbox engine as the service sees it: the engine contract over calls to the host agent."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from poolwright.engines import base
from poolwright.engines.sandbox import accounts

_CREATE_TIMEOUT_S = 120.0
_DELETE_TIMEOUT_S = 120.0
_CALL_TIMEOUT_S = 30.0
_LOGINS_TIMEOUT_S = 20.0
_BATCH = 100  # machines of one call: an answer within seconds, so that a lost connection costs little

Json = Mapping[str, Any]


class HostLink(Protocol):
    """Calls on the host agent. Raises the engine errors; `Transient` when it cannot be reached."""

    async def call(self, method: str, params: Mapping[str, Any], timeout_s: float) -> dict[str, Any]: ...


class LoginServer(Protocol):
    """An SSH server for images that have none, put where machines see it."""

    def bring(self) -> bool:
        """Whether it is there; if not, it is on its way now. Raises `Rejected` when it cannot be had."""
        ...


@dataclass(frozen=True)
class Exposure:
    """Where this host is met. `front`: the IPv4 address at which forwarded ports are reached, "0.0.0.0" for every one
    of the host; `port`: the service's own, which machines may reach on the host, as they may those `opened` to them;
    `authority`: PEM text of what issued the service's certificate."""

    front: str = "127.0.0.1"
    port: int | None = None
    opened: tuple[int, ...] = ()
    authority: str = ""


@dataclass(frozen=True)
class CommandResult:
    """End of a run-command script. Output is cut to its last 64 KiB a stream."""

    exit_code: int
    stdout: str
    stderr: str
    timed_out: bool


class SandboxEngine:
    """`Engine` over a host agent. Every method may raise `Transient` when the agent is not connected."""

    def __init__(
        self,
        link: HostLink,
        login_server: LoginServer | None = None,
        exposure: Exposure = Exposure(),
    ) -> None:
        self._link = link
        self._login_server = login_server
        self._exposure = exposure

    @property
    def name(self) -> str:
        return "sandbox"

    async def capabilities(self) -> base.Capabilities:
        """What the host can do now; `usable` is False (with the reason) while no agent is connected."""
        try:
            with contextlib.suppress(base.Rejected):  # an agent of an earlier version forwards nothing
                await self._link.call("network", asdict(self._exposure), _CALL_TIMEOUT_S)
            facts = await self._link.call("info", {}, _CALL_TIMEOUT_S)
        except base.Transient as failure:
            missing = base.Missing("host agent", f"no machine can be made: {failure}")
            return base.Capabilities(usable=False, missing=(missing,))
        return _capabilities(facts["capabilities"])

    async def create(self, requests: Sequence[base.MachineRequest]) -> list[base.Outcome]:
        """As the contract; a build machine whose disk is still attached elsewhere is `Transient`."""
        outcomes: list[base.Outcome] = []
        for start in range(0, len(requests), _BATCH):
            batch = [asdict(request) for request in requests[start : start + _BATCH]]
            answer = await self._link.call("create", {"requests": batch}, _CREATE_TIMEOUT_S)
            outcomes.extend(_created(outcome) for outcome in answer["outcomes"])
        return outcomes

    async def machines(self) -> list[base.Machine]:
        """Every machine but those still being made; one that died or is being removed is `broken`."""
        answer = await self._link.call("list", {}, _CALL_TIMEOUT_S)
        return [_machine(machine) for machine in answer["machines"]]

    async def delete(
        self, names: Sequence[str], *, keep_storage: bool = False
    ) -> list[base.EngineError | None]:
        """As the contract; answered once processes, mounts, interfaces and (unless kept) files are gone."""
        outcomes: list[base.EngineError | None] = []
        for start in range(0, len(names), _BATCH):
            params = {"names": list(names[start : start + _BATCH]), "keep_storage": keep_storage}
            answer = await self._link.call("delete", params, _DELETE_TIMEOUT_S)
            outcomes.extend(
                None if outcome["ok"] else _error(outcome["error"]) for outcome in answer["outcomes"]
            )
        return outcomes

    async def purge(self, names: Sequence[str]) -> None:
        """Remove what machines that are gone left on disk; running ones are left alone."""
        await self._link.call("purge", {"names": list(names)}, _DELETE_TIMEOUT_S)

    async def run_command(
        self, machine: str, script: Sequence[str], env: Mapping[str, str], timeout_s: float
    ) -> CommandResult:
        """Run a shell script as root of a build machine.

        Raises `NotFound` for an unknown machine, `Transient` when the machine or the agent is lost meanwhile.
        """
        params = {"machine": machine, "script": list(script), "env": dict(env), "timeout_s": timeout_s}
        result = await self._link.call("command", params, timeout_s + _CALL_TIMEOUT_S)
        return CommandResult(
            int(result["exit_code"]), str(result["stdout"]), str(result["stderr"]), bool(result["timed_out"])
        )

    async def set_logins(self, name: str, logins: Sequence[base.Login]) -> None:
        """As the contract, by the machine's account files, and its own SSH server or else the service's."""
        result = await self.run_command(name, accounts.script(logins), {}, _LOGINS_TIMEOUT_S)
        if result.exit_code == accounts.NO_SERVER and self._login_server is not None:
            if not self._login_server.bring():
                raise base.Transient(f"machine {name}: its SSH server is being brought")
            result = await self.run_command(name, accounts.script(logins), {}, _LOGINS_TIMEOUT_S)
        reason = accounts.refusal(result.exit_code)
        if reason is not None:
            raise base.Rejected(reason)
        if result.exit_code != 0 or result.timed_out:
            said = result.stderr.strip().splitlines()[-1:] or ["no message"]
            raise base.Transient(f"machine {name}: its accounts could not be set: {said[0][:200]}")

    async def close(self) -> None:
        """Nothing to let go of: the link belongs to its owner."""


def _created(outcome: Json) -> base.Outcome:
    return _machine(outcome["machine"]) if outcome["ok"] else _error(outcome["error"])


def _error(error: Json) -> base.EngineError:
    return base.error_of(str(error["kind"]), str(error["message"]))


def _machine(seen: Json) -> base.Machine:
    return base.Machine(
        name=str(seen["name"]),
        fence=int(seen["fence"]),
        kind=str(seen["kind"]),
        state=str(seen["state"]),
        address=seen["address"],
        limits=tuple(seen["limits"]),
        notes=tuple(seen["notes"]),
        phases_ms=dict(seen["phases_ms"]),
        troubles=tuple(_trouble(trouble) for trouble in seen.get("troubles", ())),
        agent=str(seen.get("agent", "")),
    )


def _trouble(seen: Json) -> base.Trouble:
    details = tuple((str(name), str(value)) for name, value in seen.get("details", ()))
    return base.Trouble(str(seen["code"]), str(seen["message"]), details)


def _capabilities(seen: Json) -> base.Capabilities:
    return base.Capabilities(
        usable=bool(seen["usable"]),
        runs_os=frozenset(seen["runs_os"]),
        isolates=bool(seen["isolates"]),
        build_machines=bool(seen["build_machines"]),
        reboot=bool(seen["reboot"]),
        data_disks=bool(seen["data_disks"]),
        network=bool(seen["network"]),
        limits=frozenset(seen["limits"]),
        missing=tuple(base.Missing(str(one["what"]), str(one["consequence"])) for one in seen["missing"]),
    )
