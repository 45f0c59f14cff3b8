"""The operator's file about events: which are kept, how long, and where they are sent.

{"taskEvents": true, "keep": 200000, "days": 7,
 "webhooks": [{"name": "ci", "url": "https://ci.example/hook", "secret": "...", "kinds": ["task.fail"]}]}
"""

from __future__ import annotations

import re
import stat
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import msgspec

from poolwright.domain.clock import DAY, Micros
from poolwright.wire.convert.event import kinds_of

WEBHOOKS_MAX = 32
_NAME = re.compile(r"[A-Za-z0-9_-]{1,32}\Z")


class BadEventSettings(OSError):
    """The file cannot be used; the message says why, without its secrets."""


class Webhook(msgspec.Struct, frozen=True, forbid_unknown_fields=True, repr_omit_defaults=True):
    """Where batches of events are posted. `secret` signs them; `kinds` as in `GET /events` (none: all);
    `account`: the batch account whose events it gets (none: all)."""

    name: str
    url: str
    secret: Annotated[str, msgspec.Meta(min_length=16, max_length=256)]
    kinds: Annotated[tuple[str, ...], msgspec.Meta(max_length=32)] = ()
    account: str | None = None

    def __repr__(self) -> str:
        return f"Webhook({self.name!r})"


class EventSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """See the module. `days` may have a fraction."""

    task_events: bool = True
    keep: Annotated[int, msgspec.Meta(ge=1000, le=10_000_000)] = 200_000
    days: Annotated[float, msgspec.Meta(ge=0.01, le=3650)] = 7.0
    webhooks: Annotated[tuple[Webhook, ...], msgspec.Meta(max_length=WEBHOOKS_MAX)] = ()

    @property
    def age(self) -> Micros:
        """How old events get."""
        return round(self.days * DAY)


def read_event_settings(file: Path | None) -> EventSettings:
    """The settings in the file; without one the defaults. Raises BadEventSettings."""
    if file is None:
        return EventSettings()
    try:
        if stat.S_IMODE(file.stat().st_mode) & 0o077:
            raise BadEventSettings(f"{file} holds secrets: only its owner may read it (chmod 600)")
        found = msgspec.json.decode(file.read_bytes(), type=EventSettings)
    except msgspec.MsgspecError as error:
        raise BadEventSettings(f"{file}: {error}") from None
    except BadEventSettings:
        raise
    except OSError as error:
        raise BadEventSettings(f"{file} cannot be read: {error.strerror}") from None
    names = [hook.name.lower() for hook in found.webhooks]
    for hook in found.webhooks:
        _check(file, hook, names)
    return found


def _check(file: Path, hook: Webhook, names: list[str]) -> None:
    if not _NAME.match(hook.name):
        raise BadEventSettings(
            f"{file}: name {hook.name[:40]!r}: 1 to 32 letters, digits, hyphens, underscores"
        )
    if names.count(hook.name.lower()) > 1:
        raise BadEventSettings(f"{file}: two webhooks are named {hook.name!r}")
    unknown = [word[:64] for word in hook.kinds if not kinds_of(word)]
    if unknown:
        raise BadEventSettings(f"{file}: webhook {hook.name!r}: {unknown[0]!r} is no kind of events")
    url = urlsplit(hook.url)
    if url.scheme not in ("http", "https") or not url.hostname or url.username or url.fragment:
        raise BadEventSettings(f"{file}: the url of webhook {hook.name!r} is no http or https address")
