"""One request to this service's own blob storage, as handlers see it."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.utils import formatdate, parsedate_to_datetime

from starlette.requests import Request

from poolwright.api.blobs.answers import Refused
from poolwright.api.blobs.bytes import BlobKeeper
from poolwright.api.blobs.signatures import Access
from poolwright.domain.blobs import Blob, BlobKey, Container, Judge, Pairs
from poolwright.domain.clock import SECOND, Instant
from poolwright.domain.storage_account import StorageAccount

#: Content headers of a blob by the header that sets them.
SETTINGS = {
    "x-ms-blob-content-type": "content-type",
    "x-ms-blob-content-encoding": "content-encoding",
    "x-ms-blob-content-language": "content-language",
    "x-ms-blob-content-disposition": "content-disposition",
    "x-ms-blob-cache-control": "cache-control",
}
#: Headers of writes that ask for what is not offered. Without effect they would be a promise that nothing keeps.
_NOT_OFFERED = (
    "x-ms-lease-id",
    "x-ms-source-lease-id",
    "x-ms-tags",
    "x-ms-if-tags",
    "x-ms-copy-source",
    "x-ms-encryption-key",
    "x-ms-encryption-scope",
    "x-ms-blob-public-access",
    "x-ms-immutability-policy-until-date",
    "x-ms-legal-hold",
    "x-ms-structured-body",
    "x-ms-content-crc64",
    "x-ms-range-get-content-crc64",
)
_METADATA = "x-ms-meta-"
_METADATA_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_METADATA_MAX = 8192  # public limit of names and values together


@dataclass(frozen=True, slots=True)
class BlobCall:
    """A request that is allowed to go on; what it may do is asked of `access`. `query` has the first values."""

    request: Request
    keeper: BlobKeeper
    account: StorageAccount
    access: Access
    container: str
    blob: str
    query: Mapping[str, str]
    now: Instant
    refusal: Callable[[], str | None]  # why nothing new is taken in now

    @property
    def key(self) -> BlobKey:
        return BlobKey(self.account.room, self.container, self.blob)

    def header(self, name: str) -> str | None:
        """A header's value; None when it is not given."""
        return self.request.headers.get(name)

    def check_offered(self) -> None:
        """Raises Refused for headers that ask for what there is not."""
        for name in _NOT_OFFERED:
            if self.header(name) is not None:
                text = f"The header {name} is not supported: this storage has no such feature."
                raise Refused(400, "UnsupportedHeader", text)
        tier = self.header("x-ms-access-tier")
        if tier is not None and tier.lower() != "hot":
            raise Refused(400, "UnsupportedHeader", "x-ms-access-tier: there is one tier here, Hot.")

    def metadata(self) -> Pairs:
        """What the request says about its container or blob. Raises Refused."""
        found = [
            (name[len(_METADATA) :], value)
            for name, value in self.request.headers.items()
            if name.startswith(_METADATA)
        ]
        if sum(len(name) + len(value) for name, value in found) > _METADATA_MAX:
            raise Refused(400, "MetadataTooLarge", f"Metadata has at most {_METADATA_MAX} bytes.")
        for name, _ in found:
            if _METADATA_NAME.match(name) is None:
                raise Refused(400, "InvalidMetadata", f"'{name[:64]}' is no name of metadata.")
        return tuple(sorted(found))

    def settings(self) -> Pairs:
        """The content headers that the request sets."""
        told = {wanted: self.header(name) for name, wanted in SETTINGS.items()}
        return tuple((name, value) for name, value in told.items() if value is not None)

    def judge(self, *, may_create: bool = True) -> Judge:
        """The conditions of the request, and what its signature lets it do to what is there."""

        def judge(blob: Blob | None) -> None:
            if may_create:
                self.access.check(*(("w", "c") if blob is None else ("w",)))
            if blob is None:
                if self.header("if-match") is not None:
                    raise _not_met()
                return
            if self.header("if-none-match") == "*":
                raise Refused(409, "BlobAlreadyExists", "The specified blob already exists.")
            self.check_conditions(blob.tag, blob.modified_at)

        return judge

    def check_conditions(self, number: int, modified_at: Instant) -> None:
        """Raises Refused (412) unless the conditions of the request hold for what is there."""
        match, none_match = self.header("if-match"), self.header("if-none-match")
        own = tag(number)
        if match is not None and match not in ("*", own):
            raise _not_met()
        if none_match is not None and none_match in ("*", own):
            raise _not_met()
        since, until = self.header("if-modified-since"), self.header("if-unmodified-since")
        seconds = modified_at // SECOND
        if since is not None and seconds <= _seconds(since):
            raise _not_met()
        if until is not None and seconds > _seconds(until):
            raise _not_met()

    def number(self, name: str, default: int, most: int) -> int:
        """A query parameter that is a number from 1 on; more than `most` counts as that. Raises Refused."""
        text = self.query.get(name)
        if text is None:
            return default
        if not (text.isascii() and text.isdigit() and len(text) < 10 and int(text)):
            raise Refused(400, "OutOfRangeQueryParameterValue", f"{name} is a number from 1 on.")
        return min(int(text), most)


def _not_met() -> Refused:
    text = "The condition specified using HTTP conditional header(s) is not met."
    return Refused(412, "ConditionNotMet", text)


def _seconds(text: str) -> float:
    try:
        return parsedate_to_datetime(text[:64]).timestamp()
    except (ValueError, TypeError, IndexError, OverflowError):
        raise Refused(400, "InvalidHeaderValue", "A condition's time is an RFC 1123 date.") from None


def tag(number: int) -> str:
    """An entity tag as clients see it."""
    return f'"0x{number:X}"'


def changed(what: Blob | Container) -> dict[str, str]:
    """The headers that every answer about a container or blob has."""
    return {"ETag": tag(what.tag), "Last-Modified": formatdate(what.modified_at // SECOND, usegmt=True)}


def md5_header(blob: Blob) -> dict[str, str]:
    """The digest of the whole content, where it is known."""
    return {} if blob.md5 is None else {"Content-MD5": base64.b64encode(blob.md5).decode()}


def told_metadata(pairs: Pairs) -> dict[str, str]:
    """Metadata as headers."""
    return {f"{_METADATA}{name}": value for name, value in pairs}
