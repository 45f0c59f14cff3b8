"""What a pool tells of the image it was made from."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette

from poolwright.api.batch.app import routes
from poolwright.domain.compute import ImageState, dump
from poolwright.domain.resource import Lineage
from tests.unit.commands.values import IMAGE, image
from tests.wire.batch.bad_bodies import POOL, machine
from tests.wire.batch.conftest import NEW_VERSION, Live
from tests.wire.batch.raw import Caller

DEBIAN: dict[str, str | None] = {"id": "debian", "version": "12", "pretty": "Debian 12"}
INNER = dump(ImageState("i-os", (), agent_sku="batch.node.debian 12", digest="sha256:ab", os=DEBIAN))


def test_image_lineage_and_nodes(live: Live) -> None:
    made = replace(image("Frozen"), inner=INNER)
    snapshot = replace(image("snap", type="Microsoft.Compute/snapshots"), inner=b"{}")
    for resource in (made, snapshot):
        live.write(lambda tx, resource=resource: tx.resources.insert(resource))  # type: ignore[misc]
    live.write(lambda tx: tx.resources.link(Lineage(made.key, snapshot.key, "image-of")))
    live.write(lambda tx: tx.resources.link(Lineage(snapshot.key, "/gone/disk", "snapshot-of")))
    call = Caller(live)
    reference = {"imageReference": {"virtualMachineImageId": IMAGE + "Frozen"}}
    assert call("POST", "/pools", {**POOL, **machine(**reference), "id": "frozen"}).status == 201
    live.add_node("frozen", 1)
    info = call("GET", "/pools/frozen").document["imageInfo"]
    assert (info["exists"], info["osType"], info["operatingSystem"]) == (True, "Linux", "Debian 12")
    assert info["lineage"] == [
        {"kind": "image-of", "id": snapshot.id},
        {"kind": "snapshot-of", "id": "/gone/disk"},
    ]
    assert info["versions"] == [{"id": IMAGE + "Frozen", "nodes": 1, "digest": "sha256:ab"}]
    live.write(lambda tx: tx.resources.delete(made.key))
    gone = call("GET", "/pools/frozen").document["imageInfo"]
    assert (gone["exists"], gone["versions"]) == (False, [{"id": IMAGE + "Frozen", "nodes": 1}])
    assert "imageInfo" not in call("GET", "/pools/frozen", query="$select=id").document


def test_an_id_of_another_cloud_means_the_image_of_its_last_segments(live: Live) -> None:
    made = replace(image("Elsewhere"), inner=INNER)
    live.write(lambda tx: tx.resources.insert(made))
    call = Caller(live)
    foreign = "/subscriptions/other/resourceGroups/cloud/providers/Microsoft.Compute/images/ELSEWHERE"
    reference = {"imageReference": {"virtualMachineImageId": foreign}}
    body = {**POOL, **machine(**reference), "id": "foreign", "targetDedicatedNodes": 0}
    assert call("POST", "/pools", body).status == 201
    shown = call("GET", "/pools/foreign").document
    kept = shown["virtualMachineConfiguration"]["imageReference"]
    assert kept == {"virtualMachineImageId": foreign}, "the string is kept as it was sent"
    assert (shown["imageInfo"]["id"], shown["imageInfo"]["exists"]) == (made.id, True)
    assert call("PATCH", "/pools/foreign", {"metadata": []}).status == 200
    again = replace(
        image("Elsewhere"), id=made.id.replace("resourceGroups/", "resourceGroups/b"), inner=INNER
    )
    live.write(lambda tx: tx.resources.insert(again))
    refused = call("POST", "/pools", {**body, "id": "which"})
    assert refused.code == "InvalidPropertyValue"
    assert again.id in refused.values["Reason"]
    live.write(lambda tx: tx.resources.delete(made.key))
    live.write(lambda tx: tx.resources.delete(again.key))
    assert call("PATCH", "/pools/foreign", {"metadata": []}).status == 200, (
        "the pool keeps what it was made of"
    )
    assert "no such image" in call("POST", "/pools", {**body, "id": "gone"}).values["Reason"]


async def without_the_rule(live: Live, token: str, *bodies: dict[str, Any]) -> list[tuple[int, str]]:
    """Status and code of making each pool where the operator allows other agents, over the same store."""
    settings = replace(live.services.settings, match_image_agent=False)
    relaxed = Starlette(routes=[*routes(replace(live.services, settings=settings))])
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json; odata=minimalmetadata"}
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app=relaxed),
        base_url=live.url,
        params={"api-version": NEW_VERSION},
        headers=headers,
    ) as client:
        answers = [await client.post("/pools", json=body) for body in bodies]
    return [(answer.status_code, answer.json()["code"] if answer.content else "") for answer in answers]


def test_the_operator_may_let_pools_name_another_agent(live: Live) -> None:
    live.write(lambda tx: tx.resources.insert(replace(image("Other"), inner=INNER)))
    call = Caller(live)
    reference = {"imageReference": {"virtualMachineImageId": IMAGE + "Other"}}
    body = {**POOL, **machine(**reference, nodeAgentSKUId="batch.node.ubuntu 24.04"), "id": "otherAgent"}
    refused = call("POST", "/pools", body)
    assert (refused.status, refused.code) == (400, "InvalidPropertyValue")
    assert refused.values["PropertyName"] == "virtualMachineConfiguration.nodeAgentSKUId"
    assert refused.values["PropertyValue"] == "batch.node.ubuntu 24.04"
    assert "'batch.node.debian 12'" in refused.values["Reason"]
    assert "--allow-agent-mismatch" in refused.values["Reason"]
    unknown = {**POOL, **machine(**reference, nodeAgentSKUId="batch.node.plan9"), "id": "plan9"}
    market = {**POOL, **machine(nodeAgentSKUId="batch.node.ubuntu 24.04"), "id": "market"}
    answers = asyncio.run(without_the_rule(live, call.token, body, unknown, market))
    assert [status for status, _ in answers] == [201, 404, 400]
    assert [code for _, code in answers[1:]] == ["NodeAgentSKUNotFound", "InvalidPropertyValue"]
    shown = call("GET", "/pools/otherAgent").document
    assert shown["virtualMachineConfiguration"]["nodeAgentSKUId"] == "batch.node.ubuntu 24.04"


@pytest.mark.parametrize("name", ["sharedGalleryImageId", "communityGalleryImageId"])
def test_galleries_of_others_are_refused_by_name(live: Live, name: str) -> None:
    body = {**POOL, **machine(imageReference={name: "/SharedGalleries/g/images/i"}), "id": "foreign"}
    refused = Caller(live)("POST", "/pools", body)
    assert refused.status == 400
    told = json.dumps(refused.document)
    assert "UnsupportedProperty" in told
    assert f"virtualMachineConfiguration.imageReference.{name}" in told
    assert "import the image into a gallery here" in told
