"""Signatures made by the unmodified azure-batch client, verified; and the same requests, tampered with."""

from __future__ import annotations

import time
from collections.abc import Callable
from io import BytesIO
from typing import Any

import pytest
import requests
from azure.batch import BatchClient, models
from azure.core import MatchConditions
from azure.core.credentials import AzureNamedKeyCredential
from azure.core.pipeline.transport import RequestsTransport
from requests.adapters import HTTPAdapter
from urllib3 import HTTPResponse

from poolwright.api.auth import AccountKeys, AuthError, Principal, verify_shared_key
from poolwright.api.auth.requests import Scope, header_values
from tests.unit.identity.parts import ACCOUNT, PRIMARY, SECONDARY, KeyBook, asgi_scope

pytestmark = pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow:DeprecationWarning")


class Capture(HTTPAdapter):
    """Takes requests exactly as they would go on the wire and answers with a fixed status."""

    def __init__(self) -> None:
        super().__init__()
        self.status = 200
        self.sent: list[requests.PreparedRequest] = []

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        self.sent.append(request)
        body = b'{"value": []}' if self.status == 200 and request.method != "HEAD" else b""
        raw = HTTPResponse(
            body=BytesIO(body),
            status=self.status,
            headers={"Content-Type": "application/json", "Content-Length": str(len(body))},
            preload_content=False,
        )
        response: requests.Response = self.build_response(request, raw)
        return response


Call = Callable[[BatchClient], object]


def _consume(stream: Any) -> None:
    for _ in stream:
        pass


DISABLE = models.BatchNodeDisableSchedulingOptions(node_disable_scheduling_option="requeue")
POOL = models.BatchPoolCreateOptions(id="p1", vm_size="standard_d2s_v3")
CALLS: dict[str, tuple[str, int, Call]] = {
    "create": ("POST", 201, lambda client: client.create_pool(POOL)),
    "list with filter, select and timeout": (
        "GET",
        200,
        lambda client: list(
            client.list_pools(
                filter="state eq 'active' and startswith(id,'a+b &/%')",
                select=["id", "state"],
                service_timeout=17,
                max_results=10,
            )
        ),
    ),
    "patch with If-Match": (
        "PATCH",
        200,
        lambda client: client.update_pool(
            "p1",
            models.BatchPoolUpdateOptions(metadata=[models.BatchMetadataItem(name="a", value="ü")]),
            etag="0x8DE5DF2EF27B18C",
            match_condition=MatchConditions.IfNotModified,
        ),
    ),
    "delete with If-Match": (
        "DELETE",
        200,
        lambda client: client.delete_task(
            "j1", "t1", etag="0x8DE5DF2EF27B18C", match_condition=MatchConditions.IfNotModified
        ),
    ),
    "POST without body": ("POST", 204, lambda client: client.terminate_task("j1", "t1")),
    "POST with body": (
        "POST",
        200,
        lambda client: client.disable_node_scheduling("p1", "tvmps_1_d", DISABLE),
    ),
    "download with a slash in the path": (
        "GET",
        200,
        lambda client: _consume(
            client.download_task_file("j1", "t1", "wd/sub dir/a b~é.txt", ocp_range="bytes=0-9")
        ),
    ),
    "HEAD": ("HEAD", 200, lambda client: client.pool_exists("p1")),
}


def signed(call: Call, status: int, endpoint: str = "https://localhost:8443", key: str = PRIMARY) -> Scope:
    """The ASGI scope of the one request the SDK sends for a call."""
    capture = Capture()
    capture.status = status
    session = requests.Session()
    session.trust_env = False
    session.mount("https://", capture)
    credential = AzureNamedKeyCredential(ACCOUNT, key)
    with RequestsTransport(session=session, session_owner=False) as transport:
        call(BatchClient(endpoint, credential, transport=transport))
        (sent,) = capture.sent
    assert sent.method is not None
    return asgi_scope(sent.method, sent.path_url, [(str(k), str(v)) for k, v in sent.headers.items()])


def check(scope: Scope, keys: KeyBook | None = None) -> Principal:
    book = keys or KeyBook(AccountKeys.from_base64(ACCOUNT, PRIMARY, SECONDARY))
    return verify_shared_key(
        scope, header_values(scope, b"authorization")[0], book, int(time.time() * 1_000_000)
    )


@pytest.mark.parametrize("name", CALLS)
def test_what_the_sdk_signed_is_accepted(name: str) -> None:
    method, status, call = CALLS[name]
    scope = signed(call, status)
    assert scope["method"] == method
    principal = check(scope)
    assert (principal.kind, principal.account) == ("sharedkey", ACCOUNT)


@pytest.mark.parametrize("name", CALLS)
def test_behind_a_path_prefix_and_with_the_secondary_key(name: str) -> None:
    _, status, call = CALLS[name]
    scope = signed(call, status, f"https://localhost:8443/{ACCOUNT}/", SECONDARY)
    assert bytes(scope["raw_path"]).startswith(b"/render1/")
    assert check(scope).account == ACCOUNT


def test_the_download_path_stays_encoded() -> None:
    scope = signed(*CALLS["download with a slash in the path"][:0:-1])
    assert b"wd%2Fsub%20dir%2Fa%20b~%C3%A9.txt" in bytes(scope["raw_path"])


def _set_header(scope: Scope, name: bytes, value: bytes) -> None:
    scope["headers"] = [(key, text) for key, text in scope["headers"] if key != name] + [(name, value)]


def _later(scope: Scope) -> None:
    """Another date, still within the allowed skew."""
    stamp = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() + 61))
    _set_header(scope, b"ocp-date", stamp.encode())


TAMPERS: dict[str, Callable[[Scope], None]] = {
    "method": lambda scope: scope.update(method="PUT"),
    "path": lambda scope: scope.update(raw_path=bytes(scope["raw_path"]) + b"x"),
    "path decoded": lambda scope: scope.update(raw_path=bytes(scope["raw_path"]) + b"%20"),
    "query value": lambda scope: scope.update(query_string=bytes(scope["query_string"]) + b"1"),
    "query added": lambda scope: scope.update(query_string=bytes(scope["query_string"]) + b"&force=true"),
    "query removed": lambda scope: scope.update(query_string=b""),
    "condition": lambda scope: _set_header(scope, b"if-match", b'"0x1"'),
    "other condition": lambda scope: _set_header(scope, b"if-none-match", b"*"),
    "content type": lambda scope: _set_header(scope, b"content-type", b"text/plain"),
    "longer body": lambda scope: _set_header(scope, b"content-length", b"99999"),
    "range": lambda scope: _set_header(scope, b"ocp-range", b"bytes=5-6"),
    "date": _later,
    "another ocp header": lambda scope: _set_header(scope, b"ocp-other", b"1"),
}


@pytest.mark.parametrize("tamper", TAMPERS)
@pytest.mark.parametrize("name", CALLS)
def test_a_tampered_request_is_refused(name: str, tamper: str) -> None:
    _, status, call = CALLS[name]
    scope = signed(call, status)
    TAMPERS[tamper](scope)
    with pytest.raises(AuthError) as refused:
        check(scope)
    assert (refused.value.status, refused.value.code) == (403, "AuthenticationFailed")


def test_another_key_or_account_is_refused_and_no_key_is_told() -> None:
    scope = signed(*CALLS["create"][:0:-1], key=SECONDARY)
    with pytest.raises(AuthError) as wrong_key:
        check(scope, KeyBook(AccountKeys.from_base64(ACCOUNT, PRIMARY)))
    with pytest.raises(AuthError) as unknown:
        check(scope, KeyBook())
    assert wrong_key.value.values == unknown.value.values
    told = repr(wrong_key.value.values) + str(wrong_key.value)
    assert PRIMARY not in told
    assert SECONDARY not in told
    assert header_values(scope, b"authorization")[0] not in told


def test_an_account_may_forbid_shared_keys() -> None:
    scope = signed(*CALLS["create"][:0:-1])
    book = KeyBook(AccountKeys.from_base64(ACCOUNT, PRIMARY, shared_key_allowed=False))
    with pytest.raises(AuthError, match="AuthenticationFailed"):
        check(scope, book)
