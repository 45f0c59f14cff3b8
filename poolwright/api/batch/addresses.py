"""Which account and which operation the address of a request names.

Addresses are read raw, before percent-decoding: a file's path may hold `%2F` inside one segment.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Generic, TypeVar
from urllib.parse import unquote

from poolwright.api.auth.requests import Scope, request_authority
from poolwright.api.batch.services import AccountDirectory
from poolwright.domain.errors import ServiceError

T = TypeVar("T")

_REST = "..."
_KEYED = re.compile(r"certificates\(thumbprintAlgorithm=([^,()]*),\s*thumbprint=([^,()]*)\)\Z", re.IGNORECASE)
"""The one kind of entity that is named by keys inside a segment."""
_PATH_MAX = 8192


@dataclass(frozen=True, slots=True)
class Address:
    """A request's address: what the client put before the operation's path, the account it names, and the path."""

    endpoint: str  # scheme, authority and path prefix, without a slash at the end
    account: str | None
    segments: tuple[str, ...]  # still percent-encoded


def read_address(scope: Scope, accounts: AccountDirectory, roots: frozenset[str], fallback: str) -> Address:
    """The address of a request.

    An account is named by the first label of the host or by the first segment of the path, where one of that
    name exists. `roots` are the first segments of operations (lower case), `fallback` the endpoint where the
    request has no usable Host header.
    """
    raw = bytes(scope.get("raw_path") or scope["path"].encode()).decode("latin-1")
    if len(raw) > _PATH_MAX:
        reason = f"A path has at most {_PATH_MAX} characters."
        raise ServiceError("RequestUrlFailedToParse", None, (("Reason", reason),))
    segments = tuple(raw.removeprefix("/").split("/"))
    if len(segments) > 1 and not segments[-1]:
        segments = segments[:-1]
    authority = request_authority(scope)
    endpoint = f"{scope['scheme']}://{authority}" if authority else fallback
    account = _of_host(authority, accounts)
    first = segments[0]
    if first.partition("(")[0].lower() not in roots:
        named = accounts.find(decode(first)) if first else None
        if named is not None:
            return Address(f"{endpoint}/{first}", account or named, segments[1:])
    return Address(endpoint, account, segments)


def _of_host(authority: str | None, accounts: AccountDirectory) -> str | None:
    label, dot, _ = (authority or "").partition(".")
    return accounts.find(label) if dot else None


def decode(segment: str) -> str:
    """A percent-encoded segment as text. RequestUrlFailedToParse when it is not UTF-8 or holds a NUL."""
    try:
        text = unquote(segment, errors="strict")
    except UnicodeDecodeError:
        reason = "A path is percent-encoded UTF-8."
        raise ServiceError("RequestUrlFailedToParse", None, (("Reason", reason),)) from None
    if "\0" in text:
        reason = "A path has no NUL character."
        raise ServiceError("RequestUrlFailedToParse", None, (("Reason", reason),))
    return text


@dataclass(slots=True)
class _Level(Generic[T]):
    """What can follow after some segments of a path, and what is registered when nothing follows."""

    fixed: dict[str, _Level[T]] = field(default_factory=dict)
    one: _Level[T] | None = None
    rest: _Level[T] | None = None
    methods: dict[str, Match[T]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Match(Generic[T]):
    """What is registered for a method and a path, and the names of the path's parameters."""

    what: T
    names: tuple[str, ...]


class Router(Generic[T]):
    """Finds what is registered for a path, by method. Fixed segments are compared without regard to case."""

    def __init__(self) -> None:
        self._root: _Level[T] = _Level()

    @property
    def roots(self) -> frozenset[str]:
        """The first segments of all paths, in lower case."""
        return frozenset(self._root.fixed)

    def add(self, method: str, path: str, what: T) -> None:
        """Register `what`. A path is like `/jobs/{jobId}/files/{filePath...}`: a last parameter with dots takes
        the rest of the path, slashes included. ValueError when the method has something for the path already."""
        level, names = self._root, []
        for part in path.removeprefix("/").split("/"):
            if not part.startswith("{"):
                level = level.fixed.setdefault(part.lower(), _Level())
                continue
            names.append(part[1:-1].removesuffix(_REST))
            if part.endswith(_REST + "}"):
                level.rest = level.rest or _Level()
                level = level.rest
            else:
                level.one = level.one or _Level()
                level = level.one
        if method in level.methods:
            raise ValueError(f"{method} {path} is registered twice")
        level.methods[method] = Match(what, tuple(names))

    def find(self, segments: tuple[str, ...]) -> tuple[dict[str, Match[T]], list[str]] | None:
        """What is registered for a path by method, and its parameters, still encoded; None: there is no such path."""
        level = self._root
        raw: list[str] = []
        keyed = _KEYED.match(unquote(segments[0]))
        if keyed is not None:
            segments = ("certificates()", keyed[1], keyed[2], *segments[1:])
        for index, segment in enumerate(segments):
            fixed = level.fixed.get(segment.lower())
            if fixed is not None:
                level = fixed
            elif level.one is not None and segment:
                raw.append(segment)
                level = level.one
            elif level.rest is not None:
                raw.append("/".join(segments[index:]))
                level = level.rest
                break
            else:
                return None
        return (level.methods, raw) if level.methods else None
