"""The logs of a node as a user may ask for them."""

from __future__ import annotations

from dataclasses import dataclass, field

from poolwright.domain.clock import Instant


@dataclass(frozen=True, slots=True)
class LogRequest:
    """Logs of a time, to be uploaded to a container whose URL may hold a secret."""

    container: str = field(repr=False)
    start: Instant
    end: Instant | None = None  # None: up to now


@dataclass(frozen=True, slots=True)
class LogUpload:
    """What is being uploaded: so many blobs whose names begin with `directory`."""

    directory: str
    files: int


@dataclass(frozen=True, slots=True)
class PromisedLogs:
    """An upload that was answered for and is not over. `job` is the transfer worker's order (JSON), with what to
    upload and the secret of the address."""

    id: str
    node: str
    machine: str
    fence: int
    job: bytes = field(repr=False)
    promised_at: Instant
