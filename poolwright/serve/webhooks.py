"""Events posted to the operator's endpoints: in order, each at least once, whatever dies in between.

How far an endpoint has come is a row of the store, written when it has accepted a batch; after a kill the last batch
may come once more. Nothing is queued: what an endpoint has not come to lies in the journal, until that forgets it.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import logging
import time
from collections.abc import Sequence

import httpx
import msgspec

from poolwright.api.batch.events import Page, read_page
from poolwright.api.batch.feed import Feed
from poolwright.domain.clock import Clock, Rng
from poolwright.domain.facts import Entry
from poolwright.serve.event_settings import Webhook
from poolwright.store.base import Busy, Store, StoreError, Tx
from poolwright.wire.convert.event import kinds_of, show_event

_log = logging.getLogger(__name__)

BATCH_MAX = 100
TIMEOUT_S = 10.0
WAIT_FIRST_S = 1.0
WAIT_MAX_S = 300.0
LOOK_S = 30.0
SKIPPED_MAX = 5000
"""Events that do not concern an endpoint before its place is written down nevertheless."""
_TOLD = (1, 3, 10)


class HookState:
    """How one endpoint fares."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.cursor = 0
        self.delivered = 0
        self.failed = 0
        self.in_a_row = 0
        self.failing_since: float | None = None

    def failing_s(self) -> float:
        """Seconds since the first of the failures in a row."""
        return 0.0 if self.failing_since is None else time.monotonic() - self.failing_since


class Webhooks:
    """One loop an endpoint: a slow or dead one holds up nobody else."""

    def __init__(self, store: Store, feed: Feed, clock: Clock, rng: Rng, hooks: Sequence[Webhook]) -> None:
        self._http = httpx.AsyncClient(timeout=TIMEOUT_S, follow_redirects=False, trust_env=False)
        self._endpoints = [_Endpoint(store, feed, clock, rng, self._http, hook) for hook in hooks]
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def states(self) -> list[HookState]:
        """How the endpoints fare."""
        return [endpoint.state for endpoint in self._endpoints]

    def start(self) -> None:
        """Begin; needs a running event loop."""
        self._tasks = [
            asyncio.create_task(endpoint.run(), name=f"webhook {endpoint.state.name}")
            for endpoint in self._endpoints
        ]

    async def close(self) -> None:
        """Stop where it is: a batch under way comes once more after the next start."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._http.aclose()


class _Endpoint:
    def __init__(
        self, store: Store, feed: Feed, clock: Clock, rng: Rng, http: httpx.AsyncClient, hook: Webhook
    ) -> None:
        self._store = store
        self._feed = feed
        self._clock = clock
        self._rng = rng
        self._http = http
        self._hook = hook
        self._kinds = tuple(kind for word in hook.kinds for kind in kinds_of(word))
        self._key = f"webhook.{hook.name.lower()}"
        self._kept = 0
        self.state = HookState(hook.name)

    async def run(self) -> None:
        begun = False
        while not self._feed.closed:
            try:
                if not begun:
                    self.state.cursor = self._kept = await self._store.write(self._begin)
                    begun = True
                await self._step()
            except Busy:
                await asyncio.sleep(WAIT_FIRST_S)
            except StoreError as error:
                _log.warning("webhook %s: the store refused (%s); tried again", self.state.name, error)
                await asyncio.sleep(WAIT_FIRST_S)
            except Exception:  # noqa: BLE001 - whatever it was, the endpoint is not given up
                _log.exception("webhook %s: tried again in %.0f s", self.state.name, LOOK_S)
                await asyncio.sleep(LOOK_S)

    def _begin(self, tx: Tx) -> int:
        """Where it was; a new endpoint begins with what happens from now on."""
        _, last = tx.journal.span()
        kept = tx.accounts.setting(self._key)
        if kept is not None and int(kept) <= last:
            return int(kept)
        tx.accounts.put_setting(self._key, str(last))
        return last

    async def _step(self) -> None:
        state, at = self.state, self.state.cursor
        page: Page = await self._store.read(
            lambda tx: read_page(tx, at, BATCH_MAX, self._hook.account, self._kinds)
        )
        if page.gap:
            _log.warning(
                "webhook %s: events %d to %d are forgotten and were not delivered",
                state.name,
                at + 1,
                page.first - 1,
            )
        if page.entries:
            await self._deliver(page.entries)
        state.cursor = page.after
        if page.entries or page.after - self._kept >= SKIPPED_MAX:
            await self._store.write(lambda tx: tx.accounts.put_setting(self._key, str(page.after)))
            self._kept = page.after
        if not page.more:
            await self._feed.newer(page.after, LOOK_S)

    async def _deliver(self, entries: Sequence[Entry]) -> None:
        """Post until it is accepted."""
        first, last = entries[0].number, entries[-1].number
        events = [show_event(entry) for entry in entries]
        body = msgspec.json.encode(
            {"webhook": self._hook.name, "first": first, "last": last, "events": events}
        )
        while True:
            problem = await self._post(body, f"{self._hook.name}.{first}-{last}")
            if problem is None:
                self._succeeded()
                return
            await asyncio.sleep(self._failed(problem, len(entries)))

    async def _post(self, body: bytes, delivery: str) -> str | None:
        """One attempt; returns why it was not accepted. The answer's body is not read."""
        headers = {
            "content-type": "application/json",
            "poolwright-delivery": delivery,
            "poolwright-signature": signature(self._hook.secret, self._clock.now() // 1_000_000, body),
        }
        try:
            async with (
                asyncio.timeout(TIMEOUT_S),
                self._http.stream("POST", self._hook.url, content=body, headers=headers) as answer,
            ):
                return None if answer.is_success else f"HTTP {answer.status_code}"
        except TimeoutError:
            return f"no answer within {TIMEOUT_S:.0f} s"
        except httpx.HTTPError as error:
            return str(error) or type(error).__name__

    def _succeeded(self) -> None:
        state = self.state
        if state.in_a_row:
            _log.info("webhook %s: accepts again after %d failures", state.name, state.in_a_row)
        state.delivered += 1
        state.in_a_row, state.failing_since = 0, None

    def _failed(self, problem: str, waiting: int) -> float:
        """Note it; returns how long to wait."""
        state = self.state
        state.failed += 1
        state.in_a_row += 1
        state.failing_since = state.failing_since or time.monotonic()
        growth = float(2 ** min(state.in_a_row - 1, 20))
        wait = min(WAIT_FIRST_S * growth, WAIT_MAX_S) * (0.5 + self._rng.random())
        if state.in_a_row in _TOLD or state.in_a_row % 20 == 0:
            text = "webhook %s: %d events not accepted (%s), %d times in a row for %.0f s; again in %.0f s"
            args = (state.name, waiting, problem, state.in_a_row, state.failing_s(), wait)
            _log.warning(text, *args)
        return wait


def signature(secret: str, at: int, body: bytes) -> str:
    """`t=<seconds since 1970>,v1=<hex>`: HMAC-SHA256 of the time, a dot and the body. A receiver computes the same and
    refuses old times."""
    digest = hmac.new(secret.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={at},v1={digest}"
