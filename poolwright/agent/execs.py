"""The executions of one machine: started, watched, ended, remembered until their end is acknowledged."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from poolwright.agent import certificates, launch, rusage, tree
from poolwright.agent.loop import Loop, Timer
from poolwright.agent.rusage import Ended
from poolwright.agent.services import Services
from poolwright.agent.trust import Trust
from poolwright.agent.users import Identity, UnknownUser, Users

MAX_REMEMBERED = (
    10_000  # ends nobody acknowledged; more means the service is not there, so nothing new is started
)
_OUTPUTS = (("StandardErrorTail", "stderr.txt"), ("StandardOutputTail", "stdout.txt"))
_RUNNING_REPORT_S = 0.025  # a program that ends sooner is reported once, at its end
_DRAIN_S = 0.01
_WALL_CLOCK_GRACE_S = 5.0
_LOST_ORPHANS_S = 0.05
_LINGER_GRACE_S = 2.0  # for background processes of a task that is over already


@dataclass
class Execution:
    """One started (or refused) execution."""

    exec_id: str
    state: str = "running"  # "running", "exited", "failed"
    pid: int | None = None
    start_us: int | None = None
    end_us: int | None = None
    exit_code: int | None = None
    signal: int | None = None
    reason: str | None = None
    code: str | None = None
    message: str | None = None
    details: list[list[str]] = field(default_factory=list)
    identity: Identity | None = None
    directory: str = ""
    contained: bool = False  # its process is in a container
    leaves_services: bool = False  # what a start task leaves running serves the tasks to come
    lingers: bool = (
        False  # once its program exited with 0, what it left running goes on until it is ended by order
    )
    ready_us: int | None = None  # it lingers since then
    ended_by: str | None = None
    kill_at: float | None = None  # monotonic seconds: it was asked to end, and is killed then
    main_gone: bool = False
    usage: tuple[int, ...] = (0,) * 6  # what its ended processes used, see rusage.py
    timers: list[Timer] = field(default_factory=list)

    def event(self) -> dict[str, Any]:
        """The execution as it goes into messages; the host agent adds machine and fence."""
        item: dict[str, Any] = {"t": "exec", "exec": self.exec_id, "state": self.state, "pid": self.pid}
        item["start_us"] = self.start_us
        if self.ready_us is not None:
            item["ready_us"] = self.ready_us
        if self.state == "exited":
            item.update(end_us=self.end_us, exit_code=self.exit_code, signal=self.signal, reason=self.reason)
            item["usage"] = self.usage
            if self.details:
                item["details"] = self.details
        elif self.state == "failed":
            item.update(end_us=self.end_us, code=self.code, message=self.message, details=self.details)
        return item


class Executions:
    """All executions of a machine. `report` is called with items to send; several calls a turn are one message."""

    def __init__(
        self,
        loop: Loop,
        fence: int,
        report: Callable[[dict[str, Any]], None],
        accounts: Iterable[str] = (),
        with_certificates: bool = False,
        trust: Trust | None = None,
    ) -> None:
        self._loop = loop
        self._fence = fence
        self._report = report
        self._launcher = launch.Launcher()
        self._users = Users(accounts)
        self._certificates = with_certificates  # whether there are any to see
        self._trust = trust or Trust("")
        self._known: dict[str, Execution] = {}
        self._by_pid: dict[int, Execution] = {}
        self._draining: dict[str, Execution] = {}
        self._lingering: dict[str, Execution] = {}
        self._services = Services()
        self._unreported: list[Execution] = []
        self._running_timer: Timer | None = None
        self._check_waits = False

    def states(self) -> list[dict[str, Any]]:
        return [execution.event() for execution in self._known.values()]

    def take_trash(self) -> bool:
        """Has a replaced directory to be deleted? Asking resets the answer."""
        containers = self._launcher.containers
        waits = self._launcher.trash_waits or containers.trash_waits
        self._launcher.trash_waits = containers.trash_waits = False
        return waits

    def start(self, spec: dict[str, Any]) -> None:
        """Start an execution; one that is known is reported again instead."""
        exec_id = str(spec.get("exec"))
        known = self._known.get(exec_id)
        if known is not None:
            return self._report(known.event())
        execution = Execution(
            exec_id, leaves_services=spec.get("kind") == "start", lingers=bool(spec.get("linger"))
        )
        self._known[exec_id] = execution
        try:
            self._launch(spec, execution)
        except launch.LaunchError as failure:
            self._refuse(execution, failure.code, str(failure), failure.details)
        except UnknownUser as failure:
            self._refuse(execution, "CommandLaunchFailed", str(failure), [["UserName", failure.name]])
        return None

    def _launch(self, spec: dict[str, Any], execution: Execution) -> None:
        if spec.get("fence") != self._fence:
            text = f"the machine's fence is {self._fence}, the order's {spec.get('fence')}"
            raise launch.LaunchError("StaleFence", text)
        if len(self._known) > MAX_REMEMBERED:
            raise launch.LaunchError(
                "CommandLaunchFailed", f"{MAX_REMEMBERED} ended executions are not acknowledged"
            )
        try:
            spec = {**spec, "env": self._trust.told(spec.get("env") or {})}
        except OSError as failure:
            raise launch.LaunchError("CommandLaunchFailed", f"the file of authorities: {failure}") from None
        order = launch.check(spec)
        execution.directory, execution.contained = order.directory, order.container is not None
        execution.identity = self._identity(spec, order.directory)
        execution.start_us = time.time_ns() // 1000
        identity = (
            certificates.seen_by(execution.identity, spec) if self._certificates else execution.identity
        )
        execution.pid = self._launcher.start(order, identity)
        self._by_pid[execution.pid] = execution
        limit = spec.get("wall_clock_s")
        if limit is not None:
            timer = self._loop.later(
                float(limit), lambda: self._end(execution, "wallclock", _WALL_CLOCK_GRACE_S)
            )
            execution.timers.append(timer)
        self._unreported.append(execution)
        if self._running_timer is None:
            self._running_timer = self._loop.later(_RUNNING_REPORT_S, self._report_running)

    def _identity(self, spec: dict[str, Any], directory: str) -> Identity:
        """Who it runs as: in the directory of one that lingers, as that one, which owns what is there."""
        for other in self._lingering.values():
            if other.directory == directory and other.identity is not None:
                return other.identity
        return self._users.take(spec.get("user") or {})

    def _report_running(self) -> None:
        self._running_timer = None
        for execution in self._unreported:
            if execution.state == "running":
                self._report(execution.event())
        self._unreported.clear()

    def _refuse(self, execution: Execution, code: str, message: str, details: list[list[str]]) -> None:
        execution.state, execution.code, execution.message = "failed", code, message
        execution.details = details
        execution.end_us = time.time_ns() // 1000
        self._forget_user(execution)
        self._report(execution.event())

    def kill(self, exec_id: str, reason: str, grace_s: float) -> None:
        """End an execution; an unknown one is reported as lost, an ended one as it ended."""
        execution = self._known.get(exec_id)
        if execution is None:
            lost = Execution(exec_id, state="exited", reason="lost", end_us=time.time_ns() // 1000)
            return self._report(lost.event())
        if execution.state != "running":
            return self._report(execution.event())
        return self._end(execution, f"killed:{reason}", grace_s)

    def acknowledge(self, exec_ids: list[str]) -> None:
        """The end of these is durable elsewhere: forget them."""
        for exec_id in exec_ids:
            execution = self._known.get(exec_id)
            if execution is not None and execution.state != "running":
                del self._known[exec_id]

    def on_child(self, ended: Ended) -> None:
        """A process of this machine ended and was collected."""
        execution, status = self._by_pid.pop(ended.pid, None), ended.status
        if execution is None:
            self._charge_orphan(ended)
            return
        execution.usage = rusage.added(execution.usage, ended.usage)
        execution.end_us = time.time_ns() // 1000
        if os.WIFSIGNALED(status):
            execution.signal = os.WTERMSIG(status)
            execution.exit_code = 128 + execution.signal  # as a shell reports it
        else:
            execution.exit_code = os.WEXITSTATUS(status)
        execution.main_gone = True
        if execution.lingers and execution.exit_code == 0 and execution.ended_by is None:
            execution.ready_us = execution.end_us
            self._lingering[execution.exec_id] = execution
            self._cancel(execution)
            self._report(execution.event())
            return
        self._draining[execution.exec_id] = execution
        if not self._check_waits:
            self._check_waits = True
            self._loop.at_turn_end(self._check_drained)

    def _charge_orphan(self, ended: Ended) -> None:
        """What an orphan used is its execution's while that is not over; who left the session is nobody's."""
        owner = self._by_pid.get(ended.session)
        for execution in (*self._draining.values(), *self._lingering.values()):
            if execution.pid == ended.session:
                owner = execution
        if owner is not None:
            owner.usage = rusage.added(owner.usage, ended.usage)

    def _end_lingering(self, execution: Execution, grace_s: float) -> None:
        """SIGTERM to what still runs of it, and in the end SIGKILL, as for any execution."""
        assert execution.pid is not None
        mine = tree.members(tree.processes(), execution.pid, execution.exec_id) - self._by_pid.keys()
        tree.send(mine, signal.SIGTERM)
        tree.send(mine, signal.SIGCONT)

        def drain() -> None:
            if self._lingering.pop(execution.exec_id, None) is not None:
                self._draining[execution.exec_id] = execution
                self._check_drained()

        execution.timers.append(self._loop.later(min(grace_s, _LINGER_GRACE_S) if mine else 0.0, drain))

    def _check_drained(self) -> None:
        """Finish executions whose main process ended, once nothing of their tree is left."""
        self._check_waits = False
        strays = tree.orphans() - self._by_pid.keys()
        for execution in self._draining.values():
            if execution.leaves_services and execution.ended_by is None:
                self._services.keep(execution.exec_id, strays)
        strays = self._services.others(strays)
        if strays:
            self._kill_strays()
        for execution in list(self._draining.values()):
            if not strays or not self._owned(execution):
                del self._draining[execution.exec_id]
                self._finish(execution)
        if self._draining:
            self._loop.later(_DRAIN_S, self._check_drained)
        elif strays and not self._busy:
            self._loop.later(_LOST_ORPHANS_S, self._check_drained)

    @property
    def _busy(self) -> bool:
        """Whether anything runs on purpose, so that not every process is left over."""
        return bool(self._by_pid or self._lingering)

    def _kill_strays(self) -> None:
        everything = tree.processes()
        for execution in self._draining.values():
            assert execution.pid is not None
            tree.send(tree.members(everything, execution.pid, execution.exec_id), signal.SIGKILL)
        if not self._busy:  # nothing runs, so whatever hid from its session and marker is left over too
            tree.send(everything.keys() - self._services.tree(everything), signal.SIGKILL)

    def _owned(self, execution: Execution) -> bool:
        assert execution.pid is not None
        everything = tree.processes()
        if not self._busy:
            others = everything.keys() - self._services.tree(everything)
            return any(not everything[pid].zombie for pid in others)
        return bool(tree.members(everything, execution.pid, execution.exec_id))

    def _finish(self, execution: Execution) -> None:
        execution.state = "exited"
        execution.reason = execution.ended_by or "exit"
        if execution.leaves_services and execution.exit_code != 0:  # nobody should have to log in to read why
            execution.details = [
                [name, launch.tail(f"{execution.directory}/{file}")] for name, file in _OUTPUTS
            ]
        if execution.contained:
            self._end_container(execution)
        self._cancel(execution)
        self._forget_user(execution)
        self._report(execution.event())

    def _end_container(self, execution: Execution) -> None:
        """Nothing of it runs any more: its files go, and a runtime that could not start it is no exit of a task."""
        containers = self._launcher.containers
        failure = containers.failure(execution.exec_id) if execution.exit_code != 0 else None
        containers.bury(execution.exec_id)
        if failure is not None and execution.ended_by is None:
            execution.state, (execution.code, execution.message) = "failed", failure
            execution.details = []

    @staticmethod
    def _cancel(execution: Execution) -> None:
        for timer in execution.timers:
            timer.cancel()
        execution.timers.clear()

    def _forget_user(self, execution: Execution) -> None:
        """The account of a task is free again when the last execution in it has ended."""
        identity = execution.identity
        if identity is None or identity.number is None:
            return
        if all(one.identity != identity or one.state != "running" for one in self._known.values()):
            self._users.give_back(identity)

    def _end(self, execution: Execution, reason: str, grace_s: float) -> None:
        """SIGTERM to the whole tree now, SIGKILL to what is left after the grace.

        Orders are repeated until the end is known. A repeated one does not ask again, which would disturb the program
        in ending well; it can only shorten the grace.
        """
        if execution.ended_by is None:
            execution.ended_by = reason
            if execution.exec_id in self._lingering:
                return self._end_lingering(execution, grace_s)
        if execution.main_gone or execution.pid is None:
            return None
        grace_s = max(0.0, grace_s)
        kill_at = time.monotonic() + grace_s
        if execution.kill_at is None:
            mine = tree.members(tree.processes(), execution.pid, execution.exec_id)
            tree.send(mine, signal.SIGTERM)
            tree.send(mine, signal.SIGCONT)  # a stopped process must wake up to see it
        elif execution.kill_at <= kill_at:
            return None
        execution.kill_at = kill_at
        execution.timers.append(self._loop.later(grace_s, lambda: self._end_hard(execution)))
        return None

    def _end_hard(self, execution: Execution) -> None:
        if execution.main_gone or execution.pid is None:
            return
        tree.send(tree.members(tree.processes(), execution.pid, execution.exec_id), signal.SIGKILL)
        execution.timers.append(self._loop.later(_LOST_ORPHANS_S, lambda: self._end_hard(execution)))
