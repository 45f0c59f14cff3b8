"""Shared key signatures of the Batch data plane.

`Authorization: SharedKey <account>:<base64 of HMAC-SHA256(decoded key, string to sign)>`, where the string
is the verb, twelve header lines, the `ocp-*` headers and the account, raw path and query. Released clients
differ in a few places (content length of a request without body, case of query names and of the account,
which date header is filled in), so every spelling one of them uses is accepted and nothing else.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC
from email.utils import parsedate_to_datetime
from functools import lru_cache
from itertools import product
from typing import Protocol
from urllib.parse import parse_qs

from poolwright.api.auth.errors import AuthError, detail
from poolwright.api.auth.principal import Principal
from poolwright.api.auth.requests import Scope
from poolwright.domain.clock import SECOND, Instant
from poolwright.domain.errors import CODES

MAX_SKEW_S = 15 * 60
"""How far a request's date may be from ours: documented by the service, and needed because clients that
retry keep the date of the first attempt."""

_MAX_QUERY_FIELDS = 64
_MAX_SHOWN = 4096
_MAX_DATE = 64
SIGNED_HEADERS = (
    "content-encoding",
    "content-language",
    "content-length",
    "content-md5",
    "content-type",
    "date",
    "if-modified-since",
    "if-match",
    "if-none-match",
    "if-unmodified-since",
    "range",
)
_CREDENTIAL = re.compile(r"SharedKey ([A-Za-z0-9][A-Za-z0-9-]{0,62}):([A-Za-z0-9+/]{43}=)\Z", re.IGNORECASE)
_ABSENT_ACCOUNT_KEY = b"\0" * 64


@dataclass(frozen=True, slots=True)
class AccountKeys:
    """The keys of a batch account, decoded; `account` in its stored spelling."""

    account: str
    keys: tuple[bytes, ...] = field(repr=False)
    shared_key_allowed: bool = True

    @classmethod
    def from_base64(cls, account: str, *keys: str, shared_key_allowed: bool = True) -> AccountKeys:
        """Keys as clients are given them. ValueError, without the key, when one is not base64."""
        try:
            decoded = tuple(base64.b64decode(key, validate=True) for key in keys)
        except binascii.Error:
            raise ValueError(f"a key of account {account!r} is not base64") from None
        return cls(account, decoded, shared_key_allowed)


class Keys(Protocol):
    """Where account keys are looked up."""

    def account_keys(self, account: str) -> AccountKeys | None:
        """Keys of the account (name compared without regard to case), or None when there is none.

        Called on the event loop for every signed request, so it must answer from memory.
        """


def verify_shared_key(scope: Scope, authorization: str, keys: Keys, now: Instant) -> Principal:
    """The principal whose key signed this request.

    `authorization` is the whole header value. AuthError 400
    InvalidAuthenticationInfo for a malformed header, 403 AuthenticationFailed for a wrong or stale signature.
    """
    match = _CREDENTIAL.match(authorization)
    if match is None:
        raise malformed("The Authorization header is not 'SharedKey <account>:<base64 of 32 bytes>'.")
    named, given = match[1], base64.b64decode(match[2])
    headers = _signable_headers(scope)
    _check_date(headers, now / SECOND)

    found = keys.account_keys(named)
    candidates = list(_strings_to_sign(scope, headers, named))
    # An unknown account costs the same work and gets the same answer as a wrong key.
    secrets = found.keys if found is not None else (_ABSENT_ACCOUNT_KEY,)
    good = any(
        hmac.compare_digest(hmac.digest(secret, text, "sha256"), given)
        for text in candidates
        for secret in secrets
    )
    if found is None or not good:
        shown = candidates[0].decode("utf-8", "replace")[:_MAX_SHOWN]
        raise failed(
            f"The signature matches none of the keys of account '{named}', if there is such an account. "
            f"The server signed: {shown!r}"
        )
    if not found.shared_key_allowed:
        raise failed(f"Account '{found.account}' does not allow shared key authentication.")
    return Principal("sharedkey", found.account, found.account, found.account)


def malformed(reason: str) -> AuthError:
    """400 for authentication information nobody can read."""
    return AuthError(
        400,
        "InvalidAuthenticationInfo",
        "Authentication information is not given in the correct format. "
        "Check the value of the Authorization header.",
        detail(reason),
    )


def failed(reason: str) -> AuthError:
    """403 for authentication information that can be read and is not good."""
    return AuthError(
        403,
        "AuthenticationFailed",
        "Server failed to authenticate the request. Make sure the value of the Authorization header is "
        "formed correctly including the signature.",
        detail(reason),
    )


def _signable_headers(scope: Scope) -> dict[str, str]:
    """Headers that take part in the signature. A repeated one is refused: which value was signed, and which
    one a handler would act on, must never differ."""
    found: dict[str, str] = {}
    for raw_name, raw_value in scope["headers"]:
        name = raw_name.decode("latin-1").lower()
        if name in SIGNED_HEADERS or name.startswith("ocp-"):
            if name in found:
                raise malformed(f"The header '{name}' is given more than once.")
            found[name] = raw_value.decode("latin-1")
    return found


def _check_date(headers: dict[str, str], now_s: float) -> None:
    text = headers.get("ocp-date") or headers.get("date")
    if not text:
        values = (
            ("HeaderName", "ocp-date"),
            ("Reason", "A signed request has an ocp-date or a Date header."),
        )
        raise AuthError(400, "MissingRequiredHeader", CODES["MissingRequiredHeader"][1], values)
    when = _seconds(text) if len(text) <= _MAX_DATE else None
    if when is None:
        raise malformed(f"The date {text[:64]!r} is not an RFC 1123 date.")
    if abs(now_s - when) > MAX_SKEW_S:
        raise failed(
            f"The date {text[:64]!r} of the request is {abs(now_s - when):.0f} seconds away from the "
            f"server's time; at most {MAX_SKEW_S} are allowed."
        )


@lru_cache(maxsize=1024)
def _seconds(text: str) -> float | None:
    try:
        when = parsedate_to_datetime(text)
        # RFC 1123 dates of HTTP are always GMT; "-0000" parses to a time without zone.
        return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def _strings_to_sign(scope: Scope, headers: dict[str, str], account: str) -> Iterator[bytes]:
    """Every string an accepted client could have signed for this request, likeliest first."""
    given = headers.get("content-length", "")
    # Without a body, clients sign what they send, nothing, or "0", whichever they did send.
    lengths = ("0", "") if given == "0" else (given, "0") if given == "" else (given,)
    date = headers.get("date", "")
    dates = (date, "") if date and headers.get("ocp-date") else (date,)
    accounts = (account,) if account == account.lower() else (account, account.lower())
    ocp = "".join(
        f"{name}:{headers[name]}\n" for name in sorted(headers) if name.startswith("ocp-") and headers[name]
    )
    path = bytes(scope["raw_path"]).decode("latin-1")
    lines = [headers.get(name, "") for name in SIGNED_HEADERS]
    for query, length, day, owner in product(_query_forms(scope), lengths, dates, accounts):
        lines[2], lines[5] = length, day
        text = f"{scope['method']}\n" + "\n".join(lines) + f"\n{ocp}/{owner}{path}{query}"
        yield text.encode("utf-8")


def _query_forms(scope: Scope) -> tuple[str, ...]:
    """The canonical query with names as sent (Python, .NET, JavaScript) and lower-cased (Java), both without parameters
    that have no value and, as the rule is published, with them."""
    text = bytes(scope["query_string"]).decode("latin-1")
    if not text:
        return ("",)
    forms: list[str] = []
    for blanks in (False, True):
        try:
            fields = parse_qs(text, keep_blank_values=blanks, max_num_fields=_MAX_QUERY_FIELDS)
        except ValueError:
            raise malformed(f"The query has more than {_MAX_QUERY_FIELDS} parameters.") from None
        forms.append(_join({name: values[0] for name, values in fields.items()}, blanks))
        lowered: dict[str, str] = {}
        for name, values in fields.items():
            lowered.setdefault(name.lower(), values[0])
        forms.append(_join(lowered, blanks))
    return tuple(dict.fromkeys(forms))


def _join(fields: dict[str, str], blanks: bool) -> str:
    return "".join(f"\n{name}:{fields[name]}" for name in sorted(fields) if blanks or fields[name])
