"""The journal of an account, in pages and as server-sent events (our extension)."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass

import msgspec

from poolwright.api.batch.answers import Answer, json_answer
from poolwright.api.batch.call import Call
from poolwright.api.batch.feed import Feed
from poolwright.domain.errors import ServiceError
from poolwright.domain.facts import Entry
from poolwright.domain.limits import EVENT_KINDS_MAX, FOLLOW_S_MAX, PAGE_SIZE_MAX
from poolwright.store.base import Tx
from poolwright.wire.convert.event import kinds_of, show_event
from poolwright.wire.query import bad_parameter

SCAN_MAX = 20_000
"""Facts one page looks at: of other accounts, or of kinds not asked for."""
BEAT_S = 10.0
_STREAM_PAGE = 200
_END = "end"


@dataclass(frozen=True, slots=True)
class Page:
    """Events behind a place in the journal. `after` is where the next page begins; `gap`: some before these are
    forgotten already."""

    entries: Sequence[Entry]
    after: int
    first: int
    last: int
    gap: bool

    @property
    def more(self) -> bool:
        """Whether the journal goes on behind the page."""
        return self.after < self.last


def read_page(tx: Tx, after: int | None, limit: int, account: str | None, kinds: Sequence[str]) -> Page:
    """Up to `limit` events behind `after` (None: behind the newest). One account's, or (None) all."""
    first, last = tx.journal.span()
    if after is None:
        return Page((), last, first, last, False)
    begin = max(after, first - 1)
    upto = min(begin + SCAN_MAX, last)
    entries = tx.journal.after(begin, upto, limit, account, kinds)
    reached = entries[-1].number if len(entries) == limit else max(upto, begin)
    return Page(entries, reached, first, last, 0 < after < first - 1)


async def list_events(call: Call) -> Answer:
    """GET /events: `after` is a number or `end`, `kind` names kinds or public events, with commas between.

    A client that accepts text/event-stream gets events as they come; it goes on where it was by Last-Event-ID.
    """
    kinds = _kinds(call)
    streams = "text/event-stream" in (call.header("accept") or "").lower()
    after = _after(call, call.header("last-event-id") if streams else None)
    limit = call.query.number("maxresults") or PAGE_SIZE_MAX
    if limit > PAGE_SIZE_MAX:
        raise bad_parameter("maxresults", limit, f"At most {PAGE_SIZE_MAX}.")
    page = await call.read(lambda tx: read_page(tx, after, limit, call.account, kinds))
    if after is not None and after > page.last:
        raise bad_parameter("after", after, f"The newest event of this service is {page.last}.")
    if not streams:
        return json_answer(_document(call, page))
    feed = call.services.feed
    if feed is None or feed.full:
        raise ServiceError("ServerBusy", None, (("Reason", "Too many clients follow the events."),))
    headers = [("content-type", "text/event-stream"), ("cache-control", "no-store")]
    return Answer(b"", headers, live=_follow(call, feed, page.after if after is None else after, kinds))


def _document(call: Call, page: Page) -> dict[str, object]:
    document: dict[str, object] = {
        "odata.metadata": call.links.metadata("events"),
        "value": [show_event(entry) for entry in page.entries],
        "after": page.after,
        "first": page.first,
        "last": page.last,
        "gap": page.gap,
    }
    if page.more:
        rest = "&".join((*call.query.repeated("after"), f"after={page.after}"))
        document["odata.nextLink"] = f"{call.url}?{rest}"
    return document


async def _follow(call: Call, feed: Feed, after: int, kinds: Sequence[str]) -> AsyncGenerator[bytes, None]:
    """Events as they come, for an hour at most: the caller's rights are looked at again when it comes back."""
    ends_at = call.services.clock.now() + FOLLOW_S_MAX * 1_000_000
    account = call.account
    with feed.following():
        yield b"retry: 1000\n\n"
        while not feed.closed and call.services.clock.now() < ends_at:
            at = after
            page = await call.read(lambda tx: read_page(tx, at, _STREAM_PAGE, account, kinds))  # noqa: B023
            after = page.after
            if page.gap:
                forgotten = msgspec.json.encode({"after": at, "first": page.first})
                yield b"event: gap\ndata: " + forgotten + b"\n\n"
            if page.entries:
                yield b"".join(_frame(entry) for entry in page.entries)
            if not page.more and not await feed.newer(after, BEAT_S):
                yield f": nothing new\nid: {after}\n\n".encode()


def _frame(entry: Entry) -> bytes:
    document = show_event(entry)
    name = document.get("eventName", entry.fact.kind)
    return f"id: {entry.number}\nevent: {name}\ndata: ".encode() + msgspec.json.encode(document) + b"\n\n"


def _after(call: Call, last_seen: str | None) -> int | None:
    if last_seen:
        if not (last_seen.isascii() and last_seen.isdigit() and len(last_seen) <= 18):
            values = (("HeaderName", "Last-Event-ID"), ("HeaderValue", last_seen[:100]))
            raise ServiceError("InvalidHeaderValue", None, (*values, ("Reason", "A number is needed.")))
        return int(last_seen)
    if (call.query.text("after") or "").lower() == _END:
        return None
    return call.query.number("after") or 0


def _kinds(call: Call) -> tuple[str, ...]:
    text = call.query.text("kind")
    if text is None:
        return ()
    given = [word.strip() for word in text.split(",")]
    if len(given) > EVENT_KINDS_MAX:
        raise bad_parameter("kind", text, f"At most {EVENT_KINDS_MAX} kinds.")
    kinds: list[str] = []
    for word in given:
        known = kinds_of(word)
        if not known:
            reason = f"{word[:64]!r} is neither a kind (as task.fail or pool.*) nor a public event's name."
            raise bad_parameter("kind", text, reason)
        kinds += known
    return tuple(kinds)
