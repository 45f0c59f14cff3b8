"""Certificates of an account: installed on the nodes of pools that refer to them (api-versions before 2025-06-01)."""

from __future__ import annotations

from dataclasses import dataclass, field

from poolwright.domain.clock import Instant
from poolwright.domain.states import CertificateState

ALGORITHM = "sha1"
"""The only thumbprint algorithm of the public service."""

START_TASK, TASK, REMOTE_USER = "starttask", "task", "remoteuser"
VISIBILITIES = (START_TASK, TASK, REMOTE_USER)
"""Who on a node may read a certificate. Tasks of a job (its preparation and release too) are `task`."""


@dataclass(frozen=True, slots=True)
class CertificateReference:
    """A pool's wish to have a certificate on its nodes. `location` and `store` are Windows' own and only kept."""

    thumbprint: str  # lower-case hex
    location: str = "currentuser"
    store: str = "My"
    visibility: tuple[str, ...] = VISIBILITIES


@dataclass(frozen=True, slots=True)
class DeleteFailure:
    """Why a certificate could not be deleted."""

    code: str
    message: str
    values: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate as stored. `data` and `password` are what nodes get; no answer holds them."""

    account: str
    thumbprint: str  # lower-case hex of the SHA-1 of `public`
    format: str  # "pfx" | "cer"
    public: str  # the certificate alone: DER in base64
    state: CertificateState
    state_at: Instant
    data: str = field(repr=False)  # as uploaded, in base64
    password: str | None = field(default=None, repr=False)
    previous_state: CertificateState | None = None
    previous_at: Instant | None = None
    failure: DeleteFailure | None = None

    @property
    def file_name(self) -> str:
        """Its name on a node; the password of a pfx lies beside it, with `.pw` appended (as public nodes have it)."""
        return f"{ALGORITHM}-{self.thumbprint}.{self.format}"
