"""Every property that is known and not in force is refused by its path; what asks for what is so is taken."""

from __future__ import annotations

import json
from typing import Any

import pytest

from poolwright.domain.errors import ManagementError
from poolwright.wire.arm.compute_models import (
    DiskBody,
    DiskPatchBody,
    ImageBody,
    ImagePatchBody,
    MachineBody,
    MachinePatchBody,
)
from poolwright.wire.arm.decode import decode
from poolwright.wire.arm.gallery_models import GalleryBody
from poolwright.wire.arm.not_in_force import RULES, Rule

_WHOLE: dict[type, dict[str, Any]] = {
    DiskBody: {"properties": {"creationData": {"createOption": "Empty"}}},
    DiskPatchBody: {},
    ImageBody: {"properties": {}},
    ImagePatchBody: {},
    GalleryBody: {},
    MachineBody: {"properties": {}},
    MachinePatchBody: {},
}


def body(model: type, path: str, value: object) -> bytes:
    whole: dict[str, Any] = json.loads(json.dumps(_WHOLE[model]))
    *way, last = path.replace("*", "diskSizeGB").split(".")
    place = whole
    for word in way:
        plain = word.removesuffix("[]")
        inner: dict[str, Any] = place.setdefault(plain, {})
        if plain != word:
            place[plain] = [{}, inner]
        place = inner
    place[last] = value
    return json.dumps(whole).encode()


@pytest.mark.parametrize(("model", "rule"), [(model, rule) for model in RULES for rule in RULES[model]])
def test_it_is_refused_by_name(model: type, rule: Rule) -> None:
    with pytest.raises(ManagementError) as refused:
        decode(body(model, rule.path, "something"), model)
    told = rule.path.replace("[]", "[1]").replace("*", "diskSizeGB")
    assert (refused.value.status, refused.value.code) == (400, "InvalidParameter")
    assert refused.value.target == told
    if rule.secret:
        assert f"'{told}' is not supported" in refused.value.message
        assert "something" not in refused.value.message
    else:
        assert f"'something' of '{told}'" in refused.value.message
    assert rule.reason in refused.value.message


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("zones", []),
        ("properties.maxShares", 1),
        ("properties.networkAccessPolicy", "allowall"),
        ("properties.publicNetworkAccess", "Enabled"),
        ("properties.encryption.type", "EncryptionAtRestWithPlatformKey"),
        ("properties.burstingEnabled", False),
        ("properties.securityProfile", None),
        ("properties.supportedCapabilities.architecture", "x64"),
    ],
)
def test_what_is_so_anyway_is_taken(path: str, value: object) -> None:
    assert decode(body(DiskBody, path, value), DiskBody).properties.creation_data.create_option == "Empty"
