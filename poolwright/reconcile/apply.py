"""The only place that acts on engines and agents: what was recorded is done, what was done is confirmed."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import partial

from poolwright.domain.node import Logins
from poolwright.engines.base import Engine, EngineError, Login, MachineRequest, NotFound, Outcome
from poolwright.reconcile import confirm
from poolwright.reconcile.events import Reaction
from poolwright.reconcile.fleet import ExecSpec, Install, Kill, MovingFleet
from poolwright.reconcile.kept_files import Keeper
from poolwright.reconcile.kit import Kit
from poolwright.reconcile.pools import Life, PoolWork
from poolwright.store.base import Store

_log = logging.getLogger(__name__)


class Applier:
    """Performs work. Every step may be repeated; none is taken before the row that owns it is durable."""

    def __init__(
        self, store: Store, engine: Engine, fleet: MovingFleet, kit: Kit, keeper: Keeper | None = None
    ) -> None:
        self._store = store
        self._engine = engine
        self._fleet = fleet
        self._kit = kit
        self._keeper = keeper

    async def learn_capabilities(self) -> None:
        """Ask the engine what it can do; kept for the planners."""
        known = await self._engine.capabilities()
        if known != self._kit.capabilities:
            for missing in known.missing:
                _log.warning("missing on this host: %s: %s", missing.what, missing.consequence)
        self._kit.capabilities = known

    def deliver(self, reaction: Reaction) -> None:
        """Send what a durable transaction decided."""
        if reaction.acks:
            self._kit.delivery.forget(reaction.acks)
            self._fleet.ack(reaction.acks)
        self._kit.delivery.note(reaction.heard, self._kit.clock.now())
        self.orders(reaction.starts, reaction.kills)
        if reaction.uploads:
            self._fleet.send_uploads(reaction.uploads)

    def orders(self, starts: Sequence[ExecSpec], kills: Sequence[Kill]) -> None:
        """Send starts and kills; nothing is assumed of their arrival."""
        now, delivery = self._kit.clock.now(), self._kit.delivery
        if kills:
            for kill in kills:
                delivery.note_kill(kill.name, now)
            grace_s = self._kit.settings.kill_grace_s
            self._fleet.send_kill([kill.as_json(grace_s) for kill in kills])
        allowed = [spec for spec in starts if delivery.still_starts(spec.name)]
        if allowed:
            delivery.note([spec.name for spec in allowed], now)
            self._fleet.send_start([spec.as_json() for spec in allowed])

    def installs(self, installs: Sequence[Install]) -> None:
        """Have application packages installed; asking again while that is under way changes nothing."""
        self._fleet.send_installs(installs)

    async def machines(self, work: PoolWork) -> bool:
        """Do the engine work of one pool pass. Returns whether something moved, so that the next pass may follow at
        once; False when the engine answered nothing useful and the pool had better wait."""
        moved = await self._removes(work.removes)
        moved = await self._evicts(work.evicts) or moved
        moved = await self._halts(work.halts) or moved
        moved = await self._logins(work.logins, work.travellers) or moved
        return await self._creates(work) or moved

    async def delete_orphans(self, names: Sequence[str]) -> None:
        """Machines that no row owns."""
        await self._delete(names, keep_storage=False)

    async def _removes(self, lives: Sequence[Life]) -> bool:
        if not lives:
            return False
        answers = await self._delete_surely(lives)
        now = self._kit.clock.now()
        await self._store.write(lambda tx: confirm.removed(tx, answers, now))
        return any(isinstance(error, NotFound) for _, error in answers)

    async def _evicts(self, lives: Sequence[Life]) -> bool:
        if not lives:
            return False
        answers = await self._delete_surely(lives)
        now = self._kit.clock.now()
        await self._store.write(lambda tx: confirm.evictions(tx, answers, now))
        return any(isinstance(error, NotFound) for _, error in answers)

    async def _halts(self, lives: Sequence[Life]) -> bool:
        if not lives:
            return False
        answers = await self._end(lives, keep_storage=True)
        now = self._kit.clock.now()
        return await self._store.write(lambda tx: confirm.halted(tx, answers, now))

    async def _logins(self, orders: Sequence[tuple[Life, Logins]], travellers: Sequence[str]) -> bool:
        moved = False
        for life, logins in orders:
            people = [Login(u.name, u.admin, u.password_hash, u.public_key) for u in logins.users]
            people += [Login(name, admin=False, kept=True) for name in travellers]
            answer: EngineError | None = None
            try:
                await self._engine.set_logins(life.machine, people)
            except EngineError as error:
                answer = error
            moved = await self._store.write(
                partial(
                    confirm.logins_set,
                    life=life,
                    wanted=logins.wanted,
                    error=answer,
                    now=self._kit.clock.now(),
                )
            )
        return moved

    async def _creates(self, work: PoolWork) -> bool:
        requests = work.creates
        former = {life.machine for life in (*work.stops, *work.wipes)}
        if former:
            over = await self._end(work.stops, keep_storage=True)
            await self._keep(work.wipes)
            over += await self._end(work.wipes, keep_storage=False)
            ended_at = self._kit.clock.now()
            done = await self._store.write(lambda tx: confirm.stopped(tx, over, ended_at))
            requests = [pair for pair in requests if pair[0].machine in done or pair[0].machine not in former]
        if not requests:
            return bool(former)
        outcomes: list[Outcome] = await self._create([request for _, request in requests])
        answers = [(life, outcome) for (life, _), outcome in zip(requests, outcomes, strict=True)]
        now = self._kit.clock.now()
        self.deliver(await self._store.write(lambda tx: confirm.created(tx, self._kit, answers, now)))
        return True

    async def _end(
        self, lives: Sequence[Life], *, keep_storage: bool
    ) -> list[tuple[Life, EngineError | None]]:
        if not lives:
            return []
        errors = await self._delete([life.machine for life in lives], keep_storage=keep_storage)
        return list(zip(lives, errors, strict=True))

    async def _create(self, requests: Sequence[MachineRequest]) -> list[Outcome]:
        try:
            return await self._engine.create(requests)
        except EngineError as error:
            return [error] * len(requests)

    async def _keep(self, lives: Sequence[Life]) -> None:
        """See that files are kept before their disks go."""
        if self._keeper is not None and lives:
            await self._keeper.keep(lives)

    async def _delete_surely(self, lives: Sequence[Life]) -> list[tuple[Life, EngineError | None]]:
        """Delete until the engine says not found; one more question is enough for an engine that is done."""
        await self._keep(lives)
        names = [life.machine for life in lives]
        errors = await self._delete(names, keep_storage=False)
        unsure = [name for name, error in zip(names, errors, strict=True) if error is None]
        if unsure:
            again = dict(zip(unsure, await self._delete(unsure, keep_storage=False), strict=True))
            errors = [again.get(name, error) for name, error in zip(names, errors, strict=True)]
        return list(zip(lives, errors, strict=True))

    async def _delete(self, names: Sequence[str], *, keep_storage: bool) -> list[EngineError | None]:
        try:
            return await self._engine.delete(names, keep_storage=keep_storage)
        except EngineError as error:
            return [error] * len(names)
