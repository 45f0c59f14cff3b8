"""Spellings of other clients, malformed input, dates, and arbitrary paths and queries."""

from __future__ import annotations

import base64
import hashlib
import hmac
from email.utils import formatdate
from urllib.parse import quote, quote_plus

import pytest
import requests
from azure.batch._patch import BatchSharedKeyAuthPolicy
from azure.core.credentials import AzureNamedKeyCredential
from azure.core.pipeline import PipelineContext, PipelineRequest
from azure.core.rest import HttpRequest
from hypothesis import given
from hypothesis import strategies as st

from poolwright.api.auth import AccountKeys, AuthError, Principal, verify_shared_key
from poolwright.api.auth.requests import Scope, header_values
from poolwright.domain.clock import SECOND
from tests.unit.identity.parts import ACCOUNT, PRIMARY, SECONDARY, START_S, KeyBook, asgi_scope

BOOK = KeyBook(
    AccountKeys.from_base64(ACCOUNT, PRIMARY, SECONDARY), AccountKeys.from_base64("Mixed1", PRIMARY)
)
NOW = START_S * SECOND
DATE = formatdate(START_S, usegmt=True)
NAMES = (
    "content-encoding content-language content-length content-md5 content-type date if-modified-since "
    "if-match if-none-match if-unmodified-since range"
).split()


def signature(text: str, key: str = PRIMARY) -> str:
    return base64.b64encode(hmac.new(base64.b64decode(key), text.encode(), hashlib.sha256).digest()).decode()


def text_to_sign(method: str, lines: dict[str, str], ocp: str, resource: str) -> str:
    """Written out independently of the code under test."""
    return "\n".join([method, *(lines.get(name, "") for name in NAMES)]) + f"\n{ocp}{resource}"


def verify(scope: Scope, now: int = NOW) -> Principal:
    return verify_shared_key(scope, header_values(scope, b"authorization")[0], BOOK, now)


def request(method: str, target: str, headers: dict[str, str], text: str, account: str = ACCOUNT) -> Scope:
    given = {**headers, "Authorization": f"SharedKey {account}:{signature(text)}"}
    return asgi_scope(method, target, list(given.items()))


def test_a_written_out_signature_is_the_expected_one() -> None:
    """A fixed string and its signature, computed once with openssl (dgst -sha256 -mac HMAC)."""
    text = text_to_sign("GET", {}, "ocp-date:x\n", "/render1/pools\napi-version:2025-06-01")
    assert signature(text) == GOLDEN


GOLDEN = "67yYwmabxQZx36rsXHxSdZ6mxfi65KFvA8oUns/2FB0="


def test_java_lower_cases_names_and_account_and_signs_a_length_of_zero() -> None:
    text = text_to_sign(
        "GET",
        {"content-length": "0", "date": DATE},
        "",
        "/mixed1/pools\napi-version:2025-06-01\nmaxresults:5\ntimeout:9",
    )
    scope = request(
        "GET",
        "/pools?timeOut=9&maxResults=5&api-version=2025-06-01",
        {"Date": DATE, "Content-Length": "0"},
        text,
        "Mixed1",
    )
    assert verify(scope).account == "Mixed1"


@pytest.mark.parametrize("length", ["", "0"])
@pytest.mark.parametrize("sent", [None, "0"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "DELETE"])
def test_a_request_without_body_may_sign_any_empty_length(method: str, sent: str | None, length: str) -> None:
    text = text_to_sign(method, {"content-length": length}, f"ocp-date:{DATE}\n", f"/{ACCOUNT}/jobs/j")
    headers = {"ocp-date": DATE} | ({} if sent is None else {"Content-Length": sent})
    assert verify(request(method, "/jobs/j", headers, text)).account == ACCOUNT


def test_a_body_needs_its_length_signed() -> None:
    text = text_to_sign("POST", {"content-length": "0"}, f"ocp-date:{DATE}\n", f"/{ACCOUNT}/jobs")
    with pytest.raises(AuthError, match="AuthenticationFailed"):
        verify(request("POST", "/jobs", {"ocp-date": DATE, "Content-Length": "12"}, text))


def test_a_date_header_added_after_signing_is_tolerated_next_to_ocp_date() -> None:
    text = text_to_sign("GET", {}, f"ocp-date:{DATE}\n", f"/{ACCOUNT}/jobs")
    headers = {"ocp-date": DATE, "Date": formatdate(START_S + 5, usegmt=True)}
    assert verify(request("GET", "/jobs", headers, text)).account == ACCOUNT


def test_only_the_first_value_of_a_repeated_name_is_signed() -> None:
    text = text_to_sign("GET", {}, f"ocp-date:{DATE}\n", f"/{ACCOUNT}/jobs\na:1")
    assert verify(request("GET", "/jobs?a=1&a=2&empty=", {"ocp-date": DATE}, text)).account == ACCOUNT
    with pytest.raises(AuthError):
        verify(request("GET", "/jobs?a=2&a=1", {"ocp-date": DATE}, text))


@pytest.mark.parametrize("away", [-900, 900, 0])
def test_within_fifteen_minutes(away: int) -> None:
    text = text_to_sign("GET", {}, f"ocp-date:{DATE}\n", f"/{ACCOUNT}/jobs")
    assert verify(request("GET", "/jobs", {"ocp-date": DATE}, text), NOW + away * SECOND).kind == "sharedkey"


@pytest.mark.parametrize("away", [-901, 901, 10**6])
def test_outside_fifteen_minutes(away: int) -> None:
    text = text_to_sign("GET", {}, f"ocp-date:{DATE}\n", f"/{ACCOUNT}/jobs")
    with pytest.raises(AuthError) as refused:
        verify(request("GET", "/jobs", {"ocp-date": DATE}, text), NOW + away * SECOND)
    assert (refused.value.status, refused.value.code) == (403, "AuthenticationFailed")
    assert DATE in refused.value.values[0][1]


@pytest.mark.parametrize(
    "value",
    [
        "SharedKey",
        "SharedKey render1",
        "SharedKey render1:",
        "SharedKey :AAAA",
        "SharedKey render1:not*base64*" + "A" * 31,
        "SharedKey render1:" + "A" * 20,
        "SharedKey ../etc:" + "A" * 43 + "=",
        "SharedKey render1:" + "A" * 43 + "=\n",
        "SharedKeyLite render1:" + "A" * 43 + "=",
    ],
)
def test_a_malformed_header_is_a_bad_request(value: str) -> None:
    scope = asgi_scope("GET", "/jobs", [("ocp-date", DATE), ("Authorization", value)])
    with pytest.raises(AuthError) as refused:
        verify(scope)
    assert (refused.value.status, refused.value.code) == (400, "InvalidAuthenticationInfo")


@pytest.mark.parametrize(
    "headers",
    [
        [("ocp-date", "yesterday")],
        [("ocp-date", DATE + " " * 64)],
        [("ocp-date", "Mon, 99 Foo 2026 99:99:99 GMT")],
        [("ocp-date", DATE), ("ocp-date", DATE)],
        [("ocp-date", DATE), ("If-Match", "a"), ("If-Match", "b")],
    ],
)
def test_unusable_headers_are_a_bad_request(headers: list[tuple[str, str]]) -> None:
    credential = ("Authorization", f"SharedKey {ACCOUNT}:{signature('x')}")
    with pytest.raises(AuthError) as refused:
        verify(asgi_scope("GET", "/jobs", [*headers, credential]))
    assert (refused.value.status, refused.value.code) == (400, "InvalidAuthenticationInfo")


@pytest.mark.parametrize("headers", [[], [("ocp-date", ""), ("Date", "")]])
def test_a_signed_request_has_a_date(headers: list[tuple[str, str]]) -> None:
    credential = ("Authorization", f"SharedKey {ACCOUNT}:{signature('x')}")
    with pytest.raises(AuthError) as refused:
        verify(asgi_scope("GET", "/jobs", [*headers, credential]))
    assert (refused.value.status, refused.value.code) == (400, "MissingRequiredHeader")
    assert ("HeaderName", "ocp-date") in refused.value.values


def test_too_many_query_parameters_are_a_bad_request() -> None:
    target = "/jobs?" + "&".join(f"a{number}=1" for number in range(65))
    with pytest.raises(AuthError) as refused:
        verify(request("GET", target, {"ocp-date": DATE}, "x"))
    assert refused.value.status == 400


encodable = st.characters(exclude_categories=["Cs"])


def sdk_scope(method: str, path: str, query: str, headers: dict[str, str]) -> Scope:
    """Signed by the SDK's own policy, then brought into wire form by the HTTP library it uses."""
    url = f"https://localhost:8443{path}" + (f"?{query}" if query else "")
    outgoing = HttpRequest(method, url, headers={"ocp-date": DATE, **headers})
    policy = BatchSharedKeyAuthPolicy(AzureNamedKeyCredential(ACCOUNT, PRIMARY))
    policy.on_request(PipelineRequest(outgoing, PipelineContext(None)))
    wire = requests.Request(method, outgoing.url, headers=dict(outgoing.headers)).prepare()
    assert wire.url is not None
    target = wire.url.removeprefix("https://localhost:8443")
    return asgi_scope(method, target, [(str(key), str(value)) for key, value in wire.headers.items()])


@given(
    method=st.sampled_from(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]),
    path=st.lists(
        st.text(encodable, min_size=1, max_size=12).filter(lambda text: text not in {".", ".."}),
        min_size=1,
        max_size=5,
    ),
    query=st.lists(
        st.tuples(st.text(encodable, min_size=1, max_size=8), st.text(encodable, max_size=20)), max_size=6
    ),
    plus=st.booleans(),
)
def test_any_path_and_query_the_sdk_signs_is_accepted(
    method: str, path: list[str], query: list[tuple[str, str]], plus: bool
) -> None:
    encode = quote_plus if plus else quote
    joined = "&".join(f"{encode(name)}={encode(value)}" for name, value in query)
    scope = sdk_scope(method, "/" + "/".join(quote(part, safe="") for part in path), joined, {})
    assert verify(scope).account == ACCOUNT


@given(
    authorization=st.text(st.characters(max_codepoint=255), max_size=80)
    | st.builds(lambda raw: f"SharedKey {ACCOUNT}:{base64.b64encode(raw).decode()}", st.binary(max_size=40)),
    path=st.binary(max_size=40),
    query=st.binary(max_size=60),
    date=st.text(st.characters(max_codepoint=255), max_size=40) | st.just(DATE),
)
def test_arbitrary_bytes_are_refused_and_nothing_else_happens(
    authorization: str, path: bytes, query: bytes, date: str
) -> None:
    scope = asgi_scope("GET", "/", [("Authorization", authorization), ("ocp-date", date)])
    scope["raw_path"], scope["query_string"] = path, query
    with pytest.raises(AuthError) as refused:
        verify(scope)
    assert refused.value.status in {400, 403}


@pytest.mark.parametrize("signed", ["\n$filter:\napi-version:2025-06-01", "\napi-version:2025-06-01"])
def test_a_parameter_without_value_may_be_signed_or_left_out(signed: str) -> None:
    text = text_to_sign("GET", {}, f"ocp-date:{DATE}\n", f"/{ACCOUNT}/pools{signed}")
    scope = request("GET", "/pools?$filter=&api-version=2025-06-01", {"ocp-date": DATE}, text)
    assert verify(scope).account == ACCOUNT
    other = request("GET", "/pools?$filter=x&api-version=2025-06-01", {"ocp-date": DATE}, text)
    with pytest.raises(AuthError):
        verify(other)
