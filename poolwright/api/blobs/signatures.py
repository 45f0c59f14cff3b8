"""Who may do what with blobs: SharedKey signatures and shared access signatures, as the public storage service
defines them (Authorize with Shared Key; Create a service SAS; Create an account SAS).

Not offered, and refused by name: tokens, user delegation, stored access policies, anonymous access.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import ipaddress
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import unquote

from poolwright.api.auth.sharedkey import SIGNED_HEADERS
from poolwright.api.blobs.answers import Refused
from poolwright.domain.clock import SECOND, Instant
from poolwright.domain.storage_account import StorageAccount

_SKEW_S = 15 * 60  # public limit of how far a request's date may be off
_CREDENTIAL = re.compile(r"SharedKey ([a-z0-9]{3,24}):([A-Za-z0-9+/]{43}=)\Z")
_OLDEST = "2018-11-09"  # of signed versions; the text that is signed was another one before
_WITH_SCOPE = "2020-12-06"  # since then the encryption scope is signed too
_TIMES = ("%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%dT%H:%MZ", "%Y-%m-%d", "%Y-%m-%dT%H:%M:%S.%fZ")
_OVERRIDES = ("rscc", "rscd", "rsce", "rscl", "rsct")


@dataclass(frozen=True, slots=True)
class Signed:
    """What of a request its signature speaks of. `path` is raw, from the first slash; `query` in order, decoded."""

    method: str
    path: str
    query: Sequence[tuple[str, str]]
    headers: Mapping[str, str]  # by lower-case name
    container: str | None
    blob: str | None
    client: str | None  # the caller's address

    def of_query(self, name: str) -> str:
        """The first value of a query parameter; empty when it is not given."""
        return next((value for key, value in self.query if key == name), "")


@dataclass(frozen=True, slots=True)
class Access:
    """What the caller may do: everything (`permissions` None), or what the letters of a signature say."""

    permissions: str | None = None

    def check(self, *letters: str) -> None:
        """Raises Refused unless one of the letters is among the permissions."""
        if self.permissions is not None and not any(letter in self.permissions for letter in letters):
            text = "This request is not authorized to perform this operation using this permission."
            raise Refused(403, "AuthorizationPermissionMismatch", text)


def access(signed: Signed, account: StorageAccount, now: Instant) -> Access:
    """What a request may do with the account's blobs. Raises Refused."""
    authorization = signed.headers.get("authorization")
    if authorization is not None:
        return _by_key(signed, account, authorization, now)
    if signed.of_query("sig"):
        return _by_address(signed, account, now)
    text = "The request has neither a SharedKey signature nor a shared access signature; there is no public access."
    raise Refused(401, "NoAuthenticationInformation", text)


def _failed(reason: str) -> Refused:
    text = "Server failed to authenticate the request. Make sure the signature is formed correctly: "
    return Refused(403, "AuthenticationFailed", text + reason)


def _by_key(signed: Signed, account: StorageAccount, authorization: str, now: Instant) -> Access:
    found = _CREDENTIAL.match(authorization)
    if found is None:
        if authorization.lower().startswith("bearer "):
            text = (
                "Tokens are not accepted for blobs here: use the account's key or a shared access signature."
            )
            raise Refused(401, "InvalidAuthenticationInfo", text)
        raise Refused(
            400, "InvalidAuthenticationInfo", "Authorization is not 'SharedKey <account>:<signature>'."
        )
    _check_date(signed.headers, now)
    given = base64.b64decode(found[2])
    texts = list(_texts(signed, account.name))
    good = [hmac.compare_digest(_digest(key, text), given) for key in account.keys for text in texts]
    if found[1] != account.name or not any(good):
        raise _failed("it was made with another key or for another request.")
    return Access()


def _check_date(headers: Mapping[str, str], now: Instant) -> None:
    text = headers.get("x-ms-date") or headers.get("date") or ""
    try:
        at = parsedate_to_datetime(text[:64])
        seconds = (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
    except (ValueError, TypeError, IndexError, OverflowError):
        raise _failed("x-ms-date is not an RFC 1123 date.") from None
    if abs(now / SECOND - seconds) > _SKEW_S:
        raise _failed("the request's date is more than 15 minutes off.")


def _texts(signed: Signed, account: str) -> Iterator[str]:
    """Every text an accepted client could have signed: some leave the range out, and two orders of headers are in
    use."""
    lines = {name: signed.headers.get(name, "") for name in SIGNED_HEADERS}
    if lines["content-length"] == "0":
        lines["content-length"] = ""
    if "x-ms-date" in signed.headers:
        lines["date"] = ""
    resource = f"/{account}{signed.path}"
    values: dict[str, list[str]] = {}
    for name, value in signed.query:
        values.setdefault(name.lower(), []).append(value)
    query = "".join(f"\n{name}:{','.join(sorted(told))}" for name, told in sorted(values.items()))
    own = [name for name in signed.headers if name.startswith("x-ms-")]
    for order in (sorted(own), sorted(own, key=lambda name: (name.replace("-", "").replace("_", " "), name))):
        said = "".join(f"{name}:{signed.headers[name]}\n" for name in order)
        for range_ in {lines["range"], ""}:
            top = [range_ if name == "range" else lines[name] for name in SIGNED_HEADERS]
            yield "\n".join([signed.method, *top, ""]) + said + resource + query


def _by_address(signed: Signed, account: StorageAccount, now: Instant) -> Access:
    q = signed.of_query
    for name, told in (
        ("si", "stored access policies"),
        ("skoid", "user delegation keys"),
        ("ses", "encryption scopes"),
    ):
        if q(name):
            raise Refused(
                403, "AuthenticationFailed", f"Signatures with {told} ({name}) are not offered here."
            )
    if q("sv") < _OLDEST:
        raise _failed(f"the signed version sv must be {_OLDEST} or newer.")
    text = _account_text(signed, account.name) if q("ss") else _service_text(signed, account.name)
    try:
        given = base64.b64decode(q("sig"), validate=True)
    except (binascii.Error, ValueError):
        given = b""
    good = [hmac.compare_digest(_digest(key, text), given) for key in account.keys]
    if not any(good):
        raise _failed("the shared access signature does not match.")
    _check_limits(signed, now)
    return Access(q("sp"))


def _check_limits(signed: Signed, now: Instant) -> None:
    q = signed.of_query
    start, end = q("st"), q("se")
    if not end or now >= _instant(end) or (start and now < _instant(start)):
        raise _failed("the shared access signature is not valid now (st, se).")
    if q("sip") and not _is_within(signed.client, q("sip")):
        raise Refused(
            403, "AuthorizationSourceIPMismatch", "The signature does not allow the caller's address (sip)."
        )


def _instant(text: str) -> Instant:
    for form in _TIMES:
        try:
            return int(datetime.strptime(text, form).replace(tzinfo=UTC).timestamp() * SECOND)
        except ValueError:
            continue
    raise _failed("st and se are times as in 2024-01-31T08:00:00Z.")


def _is_within(client: str | None, allowed: str) -> bool:
    first, _, last = allowed.partition("-")
    try:
        low, high = int(ipaddress.IPv4Address(first)), int(ipaddress.IPv4Address(last or first))
        return low <= int(ipaddress.IPv4Address(client or "")) <= high
    except ValueError:
        return False


def _service_text(signed: Signed, account: str) -> str:
    q = signed.of_query
    kind = q("sr")
    if kind not in ("b", "c"):
        raise _failed("it must be signed for a blob (sr=b) or a container (sr=c).")
    if signed.container is None or (kind == "b" and signed.blob is None):
        raise Refused(
            403, "AuthorizationResourceTypeMismatch", "The signature is for another kind of resource."
        )
    place = f"/blob/{account}/{signed.container}" + (f"/{signed.blob}" if kind == "b" else "")
    parts = [q("sp"), q("st"), q("se"), place, q("si"), q("sip"), q("spr"), q("sv"), kind, ""]
    if q("sv") >= _WITH_SCOPE:
        parts.append(q("ses"))
    return "\n".join([*parts, *(q(name) for name in _OVERRIDES)])


def _account_text(signed: Signed, account: str) -> str:
    q = signed.of_query
    wanted = "s" if signed.container is None else "c" if signed.blob is None else "o"
    if "b" not in q("ss") or wanted not in q("srt"):
        raise Refused(
            403, "AuthorizationResourceTypeMismatch", "The signature is for another kind of resource (srt)."
        )
    parts = [account, *(q(name) for name in ("sp", "ss", "srt", "st", "se", "sip", "spr", "sv"))]
    if q("sv") >= _WITH_SCOPE:
        parts.append(q("ses"))
    return "\n".join([*parts, ""])


def _digest(key: str, text: str) -> bytes:
    return hmac.digest(base64.b64decode(key), text.encode(), "sha256")


def overrides(query: Mapping[str, str]) -> dict[str, str]:
    """Headers of the answer that a signed address asks for."""
    names = ("cache-control", "content-disposition", "content-encoding", "content-language", "content-type")
    return {name: query[key] for key, name in zip(_OVERRIDES, names, strict=True) if query.get(key)}


def decoded(raw: str) -> str:
    """A percent-encoded part of an address. Raises Refused for what is not UTF-8."""
    try:
        text = unquote(raw, errors="strict")
    except UnicodeDecodeError:
        raise Refused(400, "InvalidUri", "The address is not percent-encoded UTF-8.") from None
    if "\0" in text:
        raise Refused(400, "InvalidUri", "The address holds a NUL character.")
    return text
