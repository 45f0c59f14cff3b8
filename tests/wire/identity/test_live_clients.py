"""TLS trust and both authentication schemes, through a real socket with real client libraries."""

from __future__ import annotations

import socket
import ssl
from typing import Any

import aiohttp
import pytest
import requests
from azure.batch import BatchClient
from azure.batch.aio import BatchClient as AsyncBatchClient
from azure.core import MatchConditions
from azure.core.credentials import AccessToken, AzureNamedKeyCredential
from azure.core.exceptions import ClientAuthenticationError, HttpResponseError
from azure.core.pipeline.transport import RequestsTransport

from poolwright.api.auth import AuthError, Principal
from tests.unit.identity.parts import ACCOUNT, OBJECT, PRIMARY, SECONDARY, TENANT
from tests.unit.identity.test_sharedkey_against_sdk import CALLS
from tests.wire.identity.conftest import LiveIdentity

pytestmark = pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow:DeprecationWarning")
DOCUMENT = f"/{TENANT}/v2.0/.well-known/openid-configuration"


def _client(live: LiveIdentity, key: str = PRIMARY, prefix: str = "") -> BatchClient:
    credential = AzureNamedKeyCredential(ACCOUNT, key)
    return BatchClient(live.url + prefix, credential, connection_verify=str(live.tls.ca_file), retry_total=0)


def _last(live: LiveIdentity) -> Principal:
    _, _, outcome = live.seen[-1]
    assert isinstance(outcome, Principal), outcome
    return outcome


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1", "render1.localhost"])
def test_strict_verification_over_a_socket(live: LiveIdentity, name: str) -> None:
    context = ssl.create_default_context(cafile=str(live.tls.ca_file))
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    with (
        socket.create_connection(("127.0.0.1", live.port), timeout=20) as plain,
        context.wrap_socket(plain, server_hostname=name) as secured,
    ):
        assert secured.getpeercert()


def test_requests_trusts_the_authority_and_only_with_it(live: LiveIdentity) -> None:
    with requests.Session() as session:
        session.trust_env = False
        found = session.get(live.url + DOCUMENT, verify=str(live.tls.ca_file), timeout=20).json()
        assert found["token_endpoint"].startswith(live.url)
        with pytest.raises(requests.exceptions.SSLError):
            session.get(live.url + DOCUMENT, timeout=20)


async def test_aiohttp_trusts_the_authority(live: LiveIdentity) -> None:
    context = ssl.create_default_context(cafile=str(live.tls.ca_file))
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    async with aiohttp.ClientSession() as session, session.get(live.url + DOCUMENT, ssl=context) as answer:
        assert (await answer.json())["issuer"] == f"https://sts.windows.net/{TENANT}/"


# The catch-all application answers POST with 201 only, so the calls that expect another code are left to
# the unit tests, which sign the same requests.
LIVE_CALLS = [name for name, (method, status, _) in CALLS.items() if method != "POST" or status == 201]


@pytest.mark.parametrize("prefix", ["", f"/{ACCOUNT}"])
@pytest.mark.parametrize("name", [name for name in LIVE_CALLS if not name.startswith("delete")])
def test_shared_keys_through_the_server(live: LiveIdentity, name: str, prefix: str) -> None:
    with _client(live, SECONDARY, prefix) as client:
        CALLS[name][2](client)
    assert _last(live).kind == "sharedkey"


def test_a_conditional_delete_through_the_server(live: LiveIdentity) -> None:
    """The application answers 202 where the client wants 200; what counts is that it was let in."""
    with _client(live) as client, pytest.raises(HttpResponseError):
        client.delete_task("j", "t", etag="0x1", match_condition=MatchConditions.IfNotModified)
    assert live.seen[-1][0] == "DELETE"
    assert _last(live).account == ACCOUNT


async def test_shared_keys_of_the_asynchronous_client(live: LiveIdentity) -> None:
    credential = AzureNamedKeyCredential(ACCOUNT, PRIMARY)
    trust = str(live.tls.ca_file)
    async with AsyncBatchClient(live.url, credential, connection_verify=trust, retry_total=0) as client:
        assert [pool async for pool in client.list_pools(filter="id eq 'ä b+c%2F'", service_timeout=9)] == []
        assert _last(live).kind == "sharedkey"
        async for _ in await client.download_task_file("j1", "t1", "wd/sub dir/a~b é.txt"):
            pass
    method, target, _ = live.seen[-1]
    assert (method, target) == ("GET", "/jobs/j1/tasks/t1/files/wd%2Fsub%20dir%2Fa~b%20%C3%A9.txt")
    assert _last(live).kind == "sharedkey"


def test_a_wrong_key_is_a_403_with_details(live: LiveIdentity) -> None:
    wrong = "A" * 86 + "=="
    with _client(live, wrong) as client, pytest.raises(HttpResponseError) as refused:
        list(client.list_pools())
    assert refused.value.status_code == 403
    assert refused.value.error is not None
    assert refused.value.error.code == "AuthenticationFailed"
    assert isinstance(live.seen[-1][2], AuthError)


class _Fixed:
    """A credential with a ready token."""

    def __init__(self, token: str) -> None:
        self.token = token

    def get_token(self, *scopes: str, **options: Any) -> AccessToken:
        assert scopes == ("https://batch.core.windows.net//.default",)
        return AccessToken(self.token, 2**33)


def test_bearer_tokens_of_the_batch_client(live: LiveIdentity) -> None:
    good = live.parts.issuer.issue(live.parts.principal, "https://batch.core.windows.net/").value
    other = live.parts.issuer.issue(live.parts.principal, "https://management.azure.com").value
    with RequestsTransport(connection_verify=str(live.tls.ca_file)) as transport:
        client = BatchClient(live.url, _Fixed(good), transport=transport, retry_total=0)
        list(client.list_pools())
        assert (_last(live).kind, _last(live).object_id) == ("token", OBJECT)
        refused_client = BatchClient(live.url, _Fixed(other), transport=transport, retry_total=0)
        with pytest.raises(ClientAuthenticationError) as refused:
            list(refused_client.list_pools())
    assert refused.value.status_code == 401
    challenge = live.seen[-1][2]
    assert isinstance(challenge, AuthError)
    assert "authorization_uri=" in challenge.headers["WWW-Authenticate"]
