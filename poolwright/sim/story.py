"""One seed, one story: a safety phase full of faults, then a liveness phase in which everything must settle."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from random import Random

from poolwright.decide.room import MIB
from poolwright.decide.snapshot import ImageMissing, ImagePreparing
from poolwright.domain.clock import DAY, HOUR, MINUTE, SECOND
from poolwright.domain.limits import Settings
from poolwright.reconcile.images import DiskSet
from poolwright.reconcile.room import LOOK_S, HostRoom, wake_pools
from poolwright.sim import checkers, images, schedules
from poolwright.sim.disk import DiskSpared
from poolwright.sim.exit_rules import ExitsObeyed
from poolwright.sim.faults import Faults, harsh
from poolwright.sim.files import FilesRetained, HostFiles
from poolwright.sim.host import Host
from poolwright.sim.images import Plane, SimImages
from poolwright.sim.job_ends import JobsEnd, ParallelKept
from poolwright.sim.job_rules import JobTasksInOrder
from poolwright.sim.quotas import QuotasKept, choose
from poolwright.sim.seen import ACCOUNT, Checker, Seen, all_jobs
from poolwright.sim.service import SimService, World
from poolwright.sim.task_rules import AttemptsCounted, DataRetained, NoneTooOld
from poolwright.sim.transfers import FilesMoved, Moved
from poolwright.sim.virtual import START, SeededIds, Timeline
from poolwright.sim.workload import Watchers, Workload
from poolwright.store.base import Tx
from poolwright.store.sync import SyncStore

STEPS = 120
#: Free on the host's disk; half of it is kept free.
ROOM_MIB = 8192
TRACE_LINES = 400
#: Everything must have settled after this much virtual time without faults.
SETTLE_MAX = 6 * HOUR
#: Longest stay-away of an agent in the story; the lease itself is longer.
AGENT_AWAY_MAX = 14 * MINUTE


#: Without faults, schedules have made what is due and let go of what is over after this time.
SCHEDULES_MOVE = 3 * MINUTE


class Violation(Exception):
    """An invariant did not hold. The message names the seed and ends with the newest part of the story."""


@dataclass(slots=True)
class Outcome:
    """What a story came to."""

    seed: int
    events: int = 0
    virtual_s: float = 0.0
    restarts: int = 0
    completed: int = 0
    trace: deque[str] = field(default_factory=lambda: deque(maxlen=TRACE_LINES))


class Story:
    """The whole system of one seed."""

    def __init__(self, seed: int) -> None:
        self.outcome = Outcome(seed)
        self._steps = STEPS
        self.time = Timeline()
        self.rng = Random(seed)
        self.faults = harsh()
        self.store = SyncStore()
        self.host = Host(self.time, self.rng, self.faults)
        self.host.fleet.faults = replace(self.host.fleet.faults, failed_create=self.faults.failed_birth)
        plane = Plane(self.host)
        self.images = SimImages(plane, self.time)
        self.free_mib = ROOM_MIB
        disk = HostRoom(lambda: (self.free_mib * MIB, 10 * ROOM_MIB * MIB), "the host", ROOM_MIB // 2)
        self.world = World(plane, self.images, disk, HostFiles(self.host), Moved({}, set()))
        ids = SeededIds(self.rng)
        quotas = choose(self.rng)
        self.settings = Settings(quotas=quotas)
        told = Watchers(
            checkers.NoTaskLost(),
            checkers.EndsOnce(self.host),
            checkers.DependenciesKept(),
            AttemptsCounted(self.host),
            JobTasksInOrder(self.store, self.host),
            ExitsObeyed(),
            ParallelKept(),
            schedules.WindowsKept(ACCOUNT),
        )
        self.workload = Workload(self.store, self.rng, self.time, ids, told, quotas, self.tell)
        self.service = self._new_service()
        self.checks: list[Checker] = [
            told.lost,
            checkers.NotRunningTwice(self.host),
            checkers.GangsWhole(self.store, self.host),
            checkers.MachinesHaveRows(self.host),
            checkers.SlotsNotOverCommitted(self.host),
            told.kept,
            checkers.PreparedFirst(),
            told.once,
            told.counted,
            told.ordered,
            DataRetained(self.store, self.host),
            FilesRetained(self.store, self.host, self.world.files),
            QuotasKept(quotas),
            images.ImagesStay(self.host),
            DiskSpared(self.host, self.world.disk),
            schedules.OneJobASchedule(ACCOUNT),
            schedules.OnePoolAnOwner(ACCOUNT),
            told.windows,
            told.obeyed,
            told.parallel,
            JobsEnd(self.time, lambda: self.service.up),
            NoneTooOld(self.store, self.host),
            FilesMoved(self.store, self.host, self.world.moved),
        ]
        self.host.connect(self.service)

    def tell(self, what: str) -> None:
        """Keep a line of the story."""
        seconds = (self.time.now() - START) / SECOND
        self.outcome.trace.append(f"{seconds:10.3f} {what}")

    def run(self, steps: int = STEPS) -> Outcome:
        """Play it. Raises Violation, also for whatever else ended the story; it says how to play the seed again."""
        self._steps = steps
        try:
            return self._play(steps)
        except Violation:
            raise
        except Exception as error:
            raise self._violation("story", [f"it broke: {type(error).__name__}: {error}"]) from error
        finally:
            self.time.close()
            self.store.close_now()

    def _play(self, steps: int) -> Outcome:
        self.service.wake()
        self.pass_time(5 * SECOND)
        self.workload.begin()
        for _ in range(steps):
            self.pass_time(self.rng.randrange(15 * SECOND) if self.rng.random() < 0.95 else 6 * MINUTE)
            self.workload.act()
            self.service.wake()
            if self.rng.random() < 0.2:
                self._misfortune()
            self.check()
        self._settle()
        return self._finished()

    def pass_time(self, micros: int) -> None:
        """Let everything due in this much time happen."""
        until = self.time.now() + micros
        while not self.service.failed and self.time.step(until):
            self.outcome.events += 1
        self._judge_passes()

    def check(self) -> None:
        """Ask every checker."""
        self.store.read_now(self._look)

    def _look(self, tx: Tx) -> None:
        seen = Seen(tx)
        for check in self.checks:
            self._demand(type(check).__name__, check.check(seen))
        explained = checkers.WaitingExplained(self.service.kit)
        self._demand("WaitingExplained", explained.some(seen, Random(self.time.now())))

    def settled(self) -> list[str]:
        """Why the system has not settled; empty if it has."""
        if not self.service.idle:
            return ["keys are being served"]
        return self.store.read_now(self._unsettled)

    def _unsettled(self, tx: Tx) -> list[str]:
        said = checkers.unsettled(tx, self.service.kit, self.host, SeededIds(Random(0)))
        return said + images.stuck(tx, self.world.plane, self.host)

    def _new_service(self) -> SimService:
        return SimService(self.time, self.rng, self.store, self.host, self.world, self.settings)

    def _misfortune(self) -> None:
        happen = self.rng.choice(
            (
                self._restart_service,
                self._restart_service,
                self._crash_machines,
                self._agent_away,
                self._cut,
                self._memory,
                self._room,
                self._image,
                self._restart_host,
                self._switched_off,
                self._full_disk,
            )
        )
        self.tell(f"-- {happen.__name__.strip('_')}")
        happen()

    def _restart_service(self) -> None:
        self.service.kill()
        self.outcome.restarts += 1
        self.pass_time(self.rng.randrange(MINUTE) if self.rng.random() < 0.9 else 11 * MINUTE)
        self.service = self._new_service()
        self.host.connect(self.service)

    def _restart_host(self) -> None:
        """The whole host goes down and comes back: no agent, machine or process is left of what the rows tell."""
        self.service.kill()
        self.outcome.restarts += 1
        self.host.lose(self.host.machines)
        self.pass_time(self.rng.randrange(3 * MINUTE))
        self.service = self._new_service()
        self.host.connect(self.service)

    def _switched_off(self) -> None:
        """The host is down for days: data is kept longer than was asked, or tasks are older than they may get."""
        self.check()
        self.service.kill()
        self.outcome.restarts += 1
        self.host.lose(self.host.machines)
        self.time.leap(self.rng.choice((3 * DAY, 181 * DAY)))
        self.service = self._new_service()
        self.host.connect(self.service)

    def _full_disk(self) -> None:
        """Less room than the reserve: nothing new is begun; less than half of it: nodes stop."""
        self.free_mib = self.rng.choice((ROOM_MIB // 3, 0))
        self.time.after(round(LOOK_S * SECOND), self._disk_seen)
        self._for_a_while(self._disk_back)

    def _disk_back(self) -> None:
        self.free_mib = ROOM_MIB
        self.time.after(round(LOOK_S * SECOND), self._disk_seen)

    def _disk_seen(self) -> None:
        """What the service's watch over the disk does (see reconcile/room.py)."""
        if self.service.alive:
            self.store.write_now(wake_pools)
            self.service.wake()

    def _crash_machines(self) -> None:
        names = sorted(self.host.machines)
        count = len(names) if self.rng.random() < 0.1 else min(len(names), 1 + self.rng.randrange(2))
        self.host.lose(self.rng.sample(names, count))

    def _agent_away(self) -> None:
        self.host.agent_up = False
        self.host.disconnect()
        away = self.rng.randrange(MINUTE) if self.rng.random() < 0.8 else self.rng.randrange(AGENT_AWAY_MAX)
        if self.rng.random() < 0.3:
            self._crash_machines()
        self.pass_time(away)
        self.host.agent_up = True
        self.host.connect(self.service)

    def _cut(self) -> None:
        self.host.disconnect()
        self.pass_time(self.rng.randrange(5 * SECOND))
        self.host.connect(self.service)

    def _memory(self) -> None:
        self.host.memory_mib = self.rng.choice((100, 400))
        self._for_a_while(self._memory_back)

    def _room(self) -> None:
        self.host.fleet.faults = replace(self.host.fleet.faults, room=3)
        self._for_a_while(self._room_back)

    def _image(self) -> None:
        self.images.answer = self.rng.choice((ImagePreparing("unpacking"), ImageMissing("image", "deleted")))
        self._for_a_while(self._image_back)

    def _for_a_while(self, back: Callable[[], None]) -> None:
        """Lasting want would leave nothing to happen: it passes after some minutes."""
        self.time.after(self.rng.randrange(4 * MINUTE), back)

    def _memory_back(self) -> None:
        self.host.memory_mib = 8192

    def _room_back(self) -> None:
        self.host.fleet.faults = replace(self.host.fleet.faults, room=10**9)

    def _image_back(self) -> None:
        self.images.answer = DiskSet("/image/os")

    def _settle(self) -> None:
        """Faults end; everything must come to rest by itself, but for what only an operator can mend."""
        self.tell("-- faults are over")
        for name in Faults.__dataclass_fields__:
            setattr(self.faults, name, 0.0)
        self.host.fleet.faults = replace(self.host.fleet.faults, failed_create=0.0)
        self._memory_back()
        self._room_back()
        self._image_back()
        self._disk_back()
        self.workload.mend_images()
        self._cut()
        self.service.wake()
        if self.store.read_now(lambda tx: schedules.all_schedules(tx, ACCOUNT)):
            self.pass_time(SCHEDULES_MOVE)
        late = self.store.read_now(
            lambda tx: schedules.stuck(tx, ACCOUNT, self.time.now(), self.settings.quotas.active_jobs)
        )
        self._demand(
            "schedules", [line for line in late if line.startswith("schedule") and "made no" in line]
        )
        until = self.time.now() + SETTLE_MAX
        why = ["not looked yet"]
        while why and self.time.now() < until:
            self.workload.mend_images()
            self.workload.heal()
            self.service.wake()
            self.pass_time(MINUTE)
            self.check()
            why = self.settled()
        self._demand("settled", why)
        explained = checkers.WaitingExplained(self.service.kit)
        self._demand("WaitingExplained", self.store.read_now(lambda tx: explained.check(Seen(tx))))

    def _judge_passes(self) -> None:
        if self.service.failed:
            error = self.service.failed[0]
            self._demand("passes", [f"{type(error).__name__}: {error}"], error)

    def _demand(self, who: str, complaints: list[str], cause: Exception | None = None) -> None:
        if complaints:
            raise self._violation(who, complaints) from cause

    def _violation(self, who: str, complaints: list[str]) -> Violation:
        shown = "\n  ".join(complaints[:10])
        told = "\n".join(list(self.outcome.trace)[-60:])
        seed = self.outcome.seed
        again = f"again: ./dev sim --seed {seed} --steps {self._steps}"
        return Violation(f"seed {seed}: {who}:\n  {shown}\nstory:\n{told}\n{again}")

    def _finished(self) -> Outcome:
        def completed(tx: Tx) -> int:
            return sum(tx.tasks.counts(job.pk)[0].completed for job in all_jobs(tx))

        self.outcome.completed = self.store.read_now(completed)
        self.outcome.virtual_s = (self.time.now() - START) / SECOND
        return self.outcome


def play(steps: int, seed: int) -> Outcome | str:
    """What the story of one seed came to, or the words of its violation; for other processes, so that both travel."""
    logging.disable(logging.WARNING)  # a story is full of what would be warnings elsewhere
    try:
        return Story(seed).run(steps)
    except Violation as violation:
        return str(violation)
