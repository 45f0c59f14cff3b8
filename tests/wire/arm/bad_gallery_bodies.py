"""Requests about galleries that must be refused, as in bad_bodies.py."""

from __future__ import annotations

from typing import Any

from tests.wire.arm.bad_bodies import COMPUTE, SOURCE

GALLERY = f"{COMPUTE}/galleries/g"
DEFINITION = {
    "osType": "Linux",
    "osState": "Generalized",
    "identifier": {"publisher": "p", "offer": "o", "sku": "s"},
}


def definition(**properties: Any) -> dict[str, Any]:
    return {"location": "local", "properties": {**DEFINITION, **properties}}


def version(storage: dict[str, Any], **properties: Any) -> dict[str, Any]:
    return {"location": "local", "properties": {"storageProfile": storage, **properties}}


_FROM = {"source": {"id": SOURCE}}
_PLACES = {"publishingProfile": {"targetRegions": [{"name": "westeurope"}]}}
_CASES: list[tuple[str, Any, int, str, str]] = [
    (f"{COMPUTE}/galleries/a-b", {"location": "local"}, 400, "InvalidResourceName", "a-b"),
    (
        GALLERY,
        {"location": "local", "identity": {"type": "SystemAssigned"}},
        400,
        "InvalidParameter",
        "identity",
    ),
    (
        GALLERY,
        {"location": "local", "properties": {"sharingProfile": {"permissions": "Community"}}},
        400,
        "InvalidParameter",
        "Private",
    ),
    (f"{GALLERY}/images/i", definition(), 404, "ParentResourceNotFound", "galleries/g"),
    (f"{GALLERY}/images/i", definition(osType="Windows"), 400, "InvalidParameter", "Linux"),
    (f"{GALLERY}/images/i", definition(architecture="Arm64"), 400, "InvalidParameter", "x64"),
    (
        f"{GALLERY}/images/i",
        definition(identifier={"publisher": "p"}),
        400,
        "InvalidParameter",
        "identifier.offer",
    ),
    (f"{GALLERY}/images/i", definition(endOfLifeDate="soon"), 400, "InvalidParameter", "'soon'"),
    (f"{GALLERY}/images/i%2Fj", definition(), 400, "InvalidResourceName", "slash"),
    (f"{GALLERY}/images/i/versions/1.0", version(_FROM), 400, "InvalidResourceName", "major.minor.patch"),
    (f"{GALLERY}/images/i/versions/1.0.9999999999", version(_FROM), 400, "InvalidResourceName", "32 bits"),
    (f"{GALLERY}/images/i/versions/1.0.0", version({}), 400, "InvalidParameter", "0 were"),
    (
        f"{GALLERY}/images/i/versions/1.0.0",
        version({**_FROM, "osDiskImage": _FROM}),
        400,
        "InvalidParameter",
        "2 were",
    ),
    (f"{GALLERY}/images/i/versions/1.0.0", version(_FROM, **_PLACES), 400, "InvalidParameter", "westeurope"),
    (
        f"{GALLERY}/images/i/versions/1.0.0",
        version({"source": {"communityGalleryImageId": "/x"}}),
        400,
        "InvalidParameter",
        "communityGalleryImageId",
    ),
    (
        f"{GALLERY}/images/i/versions/1.0.0",
        version({"osDiskImage": {"source": {"uri": "https://x/y.vhd"}}}),
        400,
        "InvalidParameter",
        "createOption Upload",
    ),
]
GALLERY_CASES = [("PUT", *case) for case in _CASES]
