"""Images from a real registry, and from servers that misbehave."""

from __future__ import annotations

import base64
import hashlib
import json
import os
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from poolwright.domain.containers import read_image_name
from poolwright.transfer.addresses import Policy, session
from poolwright.transfer.failures import TransferFailed
from poolwright.transfer.fetching import Patience
from poolwright.transfer.registry import Registry
from tests.support import faulty
from tests.support.faulty import Faulty
from tests.support.registry import DOCKER, INDEX, MANIFEST, layer, registry
from tests.support.registry import Registry as Served

HASTY = Patience(tries=3, first_wait_s=0.01)
LOGIN = ("ann", "hush")


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with registry(tmp_path_factory.mktemp("registry")) as made:
        yield made


@pytest.fixture
def server() -> Iterator[Faulty]:
    made = Faulty()
    yield made
    made.close()


def client(name: str, login: tuple[str, str] | None = None, networks: list[str] | None = None) -> Registry:
    return Registry(session(Policy(networks)), read_image_name(name), login, HASTY)


def refusal(work: Callable[[], Any]) -> tuple[str, str]:
    with pytest.raises(TransferFailed) as failed:
        work()
    return failed.value.code, str(failed.value)


@pytest.mark.parametrize("kind", [MANIFEST, DOCKER])
def test_manifests_of_both_kinds_are_read(hub: Served, kind: str) -> None:
    digest = hub.push("kinds/one", [layer({"f": b"1"})], kind=kind, Env=["A=1"])
    made = client(f"{hub.server}/kinds/one")
    found = made.manifest()
    assert (found.digest, len(found.layers)) == (digest, 1)
    assert made.config(found)["config"] == {"Env": ["A=1"]}
    assert client(f"{hub.server}/kinds/one@{digest}").manifest() == found


def test_an_index_leads_to_the_image_for_this_host(hub: Served) -> None:
    mine = hub.push("multi/one", [layer({"f": b"mine"})], tag="mine")
    other = hub.push("multi/one", [layer({"f": b"other"})], tag="other")
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(os.uname().machine, os.uname().machine)

    def entry(digest: str, system: str, architecture: str) -> dict[str, Any]:
        about = {"os": system, "architecture": architecture}
        return {"mediaType": MANIFEST, "digest": digest, "size": 1, "platform": about}

    entries = [entry(other, "linux", "s390x"), entry(mine, "linux", machine)]
    hub.manifest("multi/one", "all", {"schemaVersion": 2, "mediaType": INDEX, "manifests": entries})
    assert client(f"{hub.server}/multi/one:all").manifest().digest == mine
    hub.manifest("multi/one", "far", {"schemaVersion": 2, "mediaType": INDEX, "manifests": entries[:1]})
    code, text = refusal(client(f"{hub.server}/multi/one:far").manifest)
    assert (code, "linux/s390x" in text) == ("ContainerInvalidImage", True)


def test_addresses_obey_the_rules_of_transfers(hub: Served, server: Faulty) -> None:
    hub.push("rules/one", [layer({"f": b"1"})])
    code, text = refusal(client(f"{hub.server}/rules/one", networks=["10.0.0.0/8"]).manifest)
    assert (code, "does not connect" in text) == ("ContainerInvalidRegistry", True)
    challenge = 'Bearer realm="http://169.254.169.254/token",service="x"'
    server.plan = lambda _, request: faulty.answer(request, 401, WWW_Authenticate=challenge)
    code, text = refusal(client(f"{_place(server)}/a/b").manifest)
    assert (code, "does not connect" in text) == ("ContainerInvalidRegistry", True)


def test_a_registry_that_speaks_tls_has_to_be_trusted(tmp_path: Path, server: Faulty) -> None:
    with registry(tmp_path / "registry", LOGIN, tls=True) as secure:
        digest = secure.push("tls/one", [layer({"f": b"1"})])
        name = f"{secure.server}/tls/one"
        code, text = refusal(client(name, LOGIN).manifest)
        assert code == "ContainerInvalidRegistry"
        assert f"the certificate of {secure.server} is not trusted by this host: " in text
        assert "issuer certificate" in text
        trusting = session(Policy(None), authority=secure.ca_file.read_text())
        made = Registry(trusting, read_image_name(name), LOGIN, HASTY)
        found = made.manifest()
        assert found.digest == digest
        with (tmp_path / "blob").open("w+b") as stream:
            made.fetch(found.layers[0], stream)
            assert stream.tell() or stream.seek(0, 2)
    wrong = str(server.url.replace("http://127.0.0.1", "https://127.0.0.1"))
    challenge = f'Bearer realm="{wrong}/token",service="x"'
    server.plan = lambda _, request: faulty.answer(request, 401, WWW_Authenticate=challenge)
    code, text = refusal(client(f"{_place(server)}/a/b", LOGIN).manifest)
    assert (code, f"{_place(server)} does not speak TLS" in text) == ("ContainerInvalidRegistry", True)


def test_tokens_are_asked_for_as_the_registry_says(server: Faulty) -> None:
    seen: list[tuple[str, str | None]] = []

    def plan(_: int, request: BaseHTTPRequestHandler) -> None:
        given = request.headers.get("Authorization")
        seen.append((request.path, given))
        if request.path.startswith("/token"):
            faulty.answer(request, 200, b'{"access_token":"abc"}')
        elif given == "Bearer abc":
            faulty.answer(request, 200, DOCUMENT, Content_Type=MANIFEST)
        else:
            realm = f'Bearer realm="{server.url}/token",service="lab",scope="repository:a/b:pull"'
            faulty.answer(request, 401, WWW_Authenticate=realm)

    server.plan = plan
    assert len(client(f"{_place(server)}/a/b", LOGIN).manifest().layers) == 1
    basic = "Basic " + base64.b64encode(b"ann:hush").decode()
    token = "/token?service=lab&scope=repository%3Aa%2Fb%3Apull"
    manifest = "/v2/a/b/manifests/latest"
    assert seen == [(manifest, None), (token, basic), (manifest, "Bearer abc")]


@pytest.mark.parametrize(
    ("login", "challenge", "reason"),
    [
        (LOGIN, 'Bearer realm="http://tokens.invalid/t"', "HTTPS only"),
        (LOGIN, "Digest realm=x", "unknown here"),
        (LOGIN, 'Basic realm="x"', "with these credentials"),
        (None, 'Basic realm="x"', "without credentials"),
    ],
)
def test_who_may_not_pull_is_told(
    server: Faulty, login: tuple[str, str] | None, challenge: str, reason: str
) -> None:
    server.plan = lambda _, request: faulty.answer(request, 401, WWW_Authenticate=challenge)
    code, text = refusal(client(f"{_place(server)}/a/b", login).manifest)
    assert (code, reason in text) == ("ContainerInvalidRegistry", True), text
    assert "hush" not in text


def test_credentials_do_not_follow_a_redirect(server: Faulty, tmp_path: Path) -> None:
    elsewhere = Faulty()
    seen: list[str | None] = []
    data = b"blob"

    def plan(_: int, request: BaseHTTPRequestHandler) -> None:
        if request.headers.get("Authorization") is None:
            faulty.answer(request, 401, WWW_Authenticate='Basic realm="x"')
        elif "/blobs/" in request.path:
            faulty.answer(request, 307, Location=f"{elsewhere.url}/there")
        else:
            faulty.answer(request, 200, _manifest(data), Content_Type=MANIFEST)

    def other(_: int, request: BaseHTTPRequestHandler) -> None:
        seen.append(request.headers.get("Authorization"))
        faulty.answer(request, 200, data)

    server.plan, elsewhere.plan = plan, other
    try:
        made = client(f"{_place(server)}/a/b", LOGIN)
        with (tmp_path / "blob").open("w+b") as stream:
            made.fetch(made.manifest().layers[0], stream)
    finally:
        elsewhere.close()
    assert ((tmp_path / "blob").read_bytes(), seen) == (data, [None])


def test_blobs_go_on_where_they_broke_and_are_what_they_are_named(server: Faulty, tmp_path: Path) -> None:
    data = faulty.DATA
    ranges: list[str | None] = []

    def plan(_: int, request: BaseHTTPRequestHandler) -> None:
        ranges.append(request.headers.get("Range"))
        if "/manifests/" in request.path:
            faulty.answer(request, 200, _manifest(data), Content_Type=MANIFEST)
        elif request.headers.get("Range") is None:
            faulty.broken(request, 1000)
        else:
            faulty.rest(request)

    server.plan = plan
    made = client(f"{_place(server)}/a/b")
    blob = made.manifest().layers[0]
    with (tmp_path / "blob").open("w+b") as stream:
        made.fetch(blob, stream)
    assert (tmp_path / "blob").read_bytes() == data
    assert ranges[-1] == "bytes=1000-"
    server.plan = lambda _, request: faulty.answer(request, 200, b"x" * len(data))
    with (tmp_path / "other").open("w+b") as stream:
        code, text = refusal(lambda: made.fetch(blob, stream))
    assert (code, "digest" in text) == ("ContainerInvalidImage", True)
    server.plan = lambda _, request: faulty.answer(request, 200, b"{}")
    code, text = refusal(client(f"{_place(server)}/a/b@sha256:{'0' * 64}").manifest)
    assert (code, "digest" in text) == ("ContainerInvalidImage", True)


@pytest.mark.parametrize(
    ("status", "code"),
    [(404, "ContainerInvalidImage"), (403, "ContainerInvalidRegistry"), (503, "ContainerMiscError")],
)
def test_refusals_have_the_codes_of_the_public_service(server: Faulty, status: int, code: str) -> None:
    server.plan = lambda _, request: faulty.answer(request, status)
    assert refusal(client(f"{_place(server)}/a/b").manifest)[0] == code
    assert len(server.requests) == (HASTY.tries if status == 503 else 1)


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{}", b'{"layers":[],"config":{}}', b'{"layers":[{"digest":"x","size":1}]}']
)
def test_what_is_no_image_is_refused(server: Faulty, body: bytes) -> None:
    server.plan = lambda _, request: faulty.answer(request, 200, body, Content_Type=MANIFEST)
    assert refusal(client(f"{_place(server)}/a/b").manifest)[0] == "ContainerInvalidImage"


def _place(server: Faulty) -> str:
    return server.url.removeprefix("http://")


def _manifest(data: bytes) -> bytes:
    def described(content: bytes) -> dict[str, Any]:
        return {"digest": f"sha256:{hashlib.sha256(content).hexdigest()}", "size": len(content)}

    return json.dumps(
        {"schemaVersion": 2, "mediaType": MANIFEST, "config": described(b"{}"), "layers": [described(data)]}
    ).encode()


DOCUMENT = _manifest(b"layer")
