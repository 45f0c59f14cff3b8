"""Certificates of older api-versions: through the client that has them, and as bytes."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Iterator
from typing import Any

import pytest

from poolwright.domain.clock import SECOND
from poolwright.reconcile import certificates
from tests.support.certificates import PASSWORD, Made, make
from tests.support.older import Older, Refused, running
from tests.unit.identity.parts import ACCOUNT, PRIMARY
from tests.wire.batch.bad_bodies import POOL
from tests.wire.batch.conftest import OLD_VERSION, Live
from tests.wire.batch.raw import Caller, Reply

KEYS = "/certificates(thumbprintAlgorithm=sha1,thumbprint={})"


@pytest.fixture(scope="module")
def made() -> Made:
    return make("one")


@pytest.fixture(scope="module")
def call(live: Live) -> Caller:
    return Caller(live)


@pytest.fixture
def older(live: Live, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Older]:
    log = tmp_path_factory.mktemp("older") / "errors.log"
    with running(live.url, str(live.tls.ca_file), ACCOUNT, PRIMARY, log) as client:
        yield client


def settle(live: Live, one: Made) -> None:
    """Decide a deletion, as the loop would."""
    now = live.parts.clock.now() + SECOND
    asyncio.run(live.store.write(lambda tx: certificates.settle(tx, ACCOUNT, one.thumbprint, now)))


def body(one: Made, **other: Any) -> dict[str, Any]:
    return {
        "thumbprint": one.thumbprint,
        "thumbprintAlgorithm": "sha1",
        "data": one.data,
        "certificateFormat": "pfx",
        "password": PASSWORD,
    } | other


def test_from_adding_to_deletion(live: Live, older: Older, made: Made) -> None:
    shown = older("add_certificate", made.thumbprint.upper(), made.data, "pfx", PASSWORD)
    assert (shown["thumbprint"], shown["thumbprint_algorithm"]) == (made.thumbprint, "sha1")
    assert shown["state"] == "active"
    assert shown["public_data"] == made.public
    assert made.data not in str(shown)
    assert PASSWORD not in str(shown)
    with pytest.raises(Refused, match="CertificateExists"):
        older("add_certificate", made.thumbprint, made.data, "pfx", PASSWORD)
    second = make("two")
    older("add_certificate", second.thumbprint, base64.b64encode(second.pem).decode(), "cer", None)
    assert set(older("certificates", "state eq 'active'")) == {made.thumbprint, second.thumbprint}
    with pytest.raises(Refused, match="CertificateStateActive"):
        older("cancel_certificate_deletion", made.thumbprint)
    older("delete_certificate", second.thumbprint)
    shown = older("certificate", second.thumbprint)
    assert (shown["state"], shown["previous_state"]) == ("deleting", "active")
    for act in ("delete_certificate", "cancel_certificate_deletion"):
        with pytest.raises(Refused, match="CertificateBeingDeleted"):
            older(act, second.thumbprint)
    settle(live, second)
    with pytest.raises(Refused, match="CertificateNotFound") as gone:
        older("certificate", second.thumbprint)
    assert gone.value.status == 404


def test_one_in_use_is_not_deleted(live: Live, older: Older, call: Caller) -> None:
    one = make("used")
    older("add_certificate", one.thumbprint, one.data, "pfx", PASSWORD)
    older("create_certified_pool", "user", {one.thumbprint: ["task", "starttask"]}, "/bin/true")
    (shown,), _ = older("pool_certificates", "user")
    assert shown == {
        "thumbprint": one.thumbprint,
        "thumbprint_algorithm": "sha1",
        "store_location": "localmachine",
        "store_name": "My",
        "visibility": ["starttask", "task"],
    }
    assert "certificateReferences" not in call("GET", "/pools/user").document
    older("delete_certificate", one.thumbprint)
    refer = {"certificateReferences": [{"thumbprint": one.thumbprint, "thumbprintAlgorithm": "sha1"}]}
    late = call("POST", "/pools", {**POOL, **refer, "id": "late"}, version=OLD_VERSION)
    assert (late.status, late.code) == (409, "CertificateBeingDeleted")
    settle(live, one)
    shown = older("certificate", one.thumbprint)
    assert (shown["state"], shown["previous_state"]) == ("deletefailed", "deleting")
    error = shown["delete_certificate_error"]
    assert error["code"] == "CertificateInUse"
    assert {"name": "Pools", "value": "user"} in error["values"]
    late = call("POST", "/pools", {**POOL, **refer, "id": "late"}, version=OLD_VERSION)
    assert (late.status, late.code) == (409, "InvalidCertificateReferences")
    assert older("cancel_certificate_deletion", one.thumbprint) == "active"
    assert "delete_certificate_error" not in older("certificate", one.thumbprint)
    older("replace_pool_properties", "user")
    assert older("pool_certificates", "user")[0] == []
    older("delete_certificate", one.thumbprint)
    settle(live, one)
    with pytest.raises(Refused, match="CertificateNotFound"):
        older("certificate", one.thumbprint)


BAD: list[tuple[dict[str, Any], str, str]] = [
    ({"thumbprintAlgorithm": "sha256"}, "InvalidPropertyValue", "thumbprintAlgorithm"),
    ({"thumbprint": "ab"}, "InvalidPropertyValue", "thumbprint"),
    ({"thumbprint": "a" * 40}, "InvalidPropertyValue", "thumbprint"),
    ({"data": "no base64!"}, "InvalidPropertyValue", "data"),
    ({"data": "bm9uZQ=="}, "InvalidPropertyValue", "data"),
    ({"data": base64.b64encode(b"x" * 10_241).decode()}, "InvalidPropertyValue", "data"),
    ({"password": "wrong"}, "InvalidPropertyValue", "data"),
    ({"certificateFormat": "pem"}, "InvalidPropertyValue", "certificateFormat"),
    ({"certificateFormat": "cer"}, "InvalidPropertyValue", "password"),
    ({"certificateFormat": "cer", "password": None}, "InvalidPropertyValue", "data"),
    ({"thumbprint": None}, "MissingRequiredProperty", "thumbprint"),
    ({"friendlyName": "x"}, "UnsupportedProperty", "friendlyName"),
]


@pytest.mark.parametrize(("change", "code", "name"), BAD)
def test_what_is_no_certificate(
    live: Live, call: Caller, made: Made, change: dict[str, Any], code: str, name: str
) -> None:
    before = live.fingerprint()
    reply = call("POST", "/certificates", body(make("bad"), **change), version=OLD_VERSION)
    assert (reply.status, reply.code, reply.values["PropertyName"]) == (400, code, name)
    assert PASSWORD not in reply.body.decode()
    assert live.fingerprint() == before


def test_a_pfx_may_have_no_password(live: Live, call: Caller) -> None:
    one = make("open")
    data = base64.b64encode(one.open_pfx).decode()
    reply = call("POST", "/certificates", body(one, data=data, password=None), version=OLD_VERSION)
    assert reply.status == 201
    assert reply.headers["location"].endswith(KEYS.format(one.thumbprint))


def refer(call: Caller, *references: dict[str, Any], id: str = "refers") -> Reply:
    wanted = {**POOL, "id": id, "certificateReferences": list(references)}
    return call("POST", "/pools", wanted, version=OLD_VERSION)


def test_references_that_cannot_be(live: Live, call: Caller) -> None:
    one = make("referred")
    assert call("POST", "/certificates", body(one), version=OLD_VERSION).status == 201
    good = {"thumbprint": one.thumbprint, "thumbprintAlgorithm": "sha1"}
    for change, name in (
        ({"thumbprintAlgorithm": "md5"}, "thumbprintAlgorithm"),
        ({"thumbprint": "xyz"}, "thumbprint"),
        ({"storeLocation": "shelf"}, "storeLocation"),
        ({"visibility": ["task", "everybody"]}, "visibility"),
    ):
        reply = refer(call, {**good, **change})
        assert (reply.code, reply.values["PropertyName"]) == (
            "InvalidPropertyValue",
            f"certificateReferences[0].{name}",
        )
    assert refer(call, good, good).values["Reason"] == "The certificate is referred to twice."
    many = [{**good, "thumbprint": f"{number:040x}"} for number in range(11)]
    assert refer(call, *many).values["PropertyName"] == "certificateReferences"
    absent = refer(call, {**good, "thumbprint": "0" * 40})
    assert (absent.status, absent.code) == (409, "InvalidCertificateReferences")
    assert absent.values["0" * 40] == "The specified certificate does not exist."
    assert refer(call, {**good, "storeName": "CA"}).status == 201
    (shown,) = call("GET", "/pools/refers", version=OLD_VERSION).document["certificateReferences"]
    assert (shown["storeLocation"], shown["storeName"]) == ("currentuser", "CA")
    assert shown["visibility"] == ["starttask", "task", "remoteuser"]
    other = {"certificateReferences": [{**good, "thumbprint": "1" * 40}]}
    patched = call("PATCH", "/pools/refers", other, version=OLD_VERSION)
    assert patched.code == "InvalidCertificateReferences"


def test_an_auto_pool_without_its_certificate_ends_its_job(live: Live, call: Caller) -> None:
    pool = {name: value for name, value in POOL.items() if name != "id"}
    pool["certificateReferences"] = [{"thumbprint": "2" * 40, "thumbprintAlgorithm": "sha1"}]
    job = {
        "id": "certified",
        "poolInfo": {"autoPoolSpecification": {"poolLifetimeOption": "job", "pool": pool}},
    }
    assert call("POST", "/jobs", job, version=OLD_VERSION).status == 201
    made = call("GET", "/jobs/certified", version=OLD_VERSION).document
    assert made["executionInfo"]["schedulingError"]["code"] == "InvalidCertificatesInAutoPool"
    refused = call("POST", "/jobs", {**job, "id": "newer"})
    assert refused.code == "UnsupportedProperty"
    path = "poolInfo.autoPoolSpecification.pool.certificateReferences"
    assert refused.values["PropertyName"] == path


def test_there_are_none_since_2025(live: Live, call: Caller) -> None:
    for method, path in (
        ("GET", "/certificates"),
        ("POST", "/certificates"),
        ("GET", KEYS.format("a" * 40)),
        ("DELETE", KEYS.format("a" * 40)),
        ("POST", KEYS.format("a" * 40) + "/canceldelete"),
    ):
        reply = call(method, path, {} if method == "POST" else None)
        assert (reply.status, reply.code) == (400, "InvalidUri")
    for method, path, rest in (
        ("POST", "/pools", {**POOL, "id": "newest"}),
        ("PATCH", "/pools/refers", {}),
        ("POST", "/pools/refers/updateproperties", {"applicationPackageReferences": [], "metadata": []}),
    ):
        reply = call(method, path, {**rest, "certificateReferences": []})
        assert (reply.code, reply.values["PropertyName"]) == ("UnsupportedProperty", "certificateReferences")


def test_addresses_name_them_by_their_keys(live: Live, call: Caller) -> None:
    absent = KEYS.format("3" * 40)
    assert call("GET", absent, version=OLD_VERSION).code == "CertificateNotFound"
    quoted = absent.replace("(", "%28").replace(")", "%29").replace("=", "%3D").replace(",", "%2C")
    assert call("GET", quoted, version=OLD_VERSION).code == "CertificateNotFound"
    assert call("GET", KEYS.format("ab"), version=OLD_VERSION).code == "InvalidPropertyValue"
    assert call("GET", "/certificates(name=x)", version=OLD_VERSION).code == "InvalidUri"
    assert call("PUT", absent, {}, version=OLD_VERSION).code == "UnsupportedHttpVerb"
