"""Bodies to models, and back to answers: whatever comes, the refusal is a 400 that names the property."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from poolwright.domain.compute import ImageChoice
from poolwright.domain.errors import ManagementError
from poolwright.domain.resource_id import parse
from poolwright.wire.arm.accounts import AccountBody, document
from poolwright.wire.arm.compute_in import disk_spec, image_spec, machine_document, machine_spec
from poolwright.wire.arm.compute_models import DiskBody, ImageBody, MachineBody, RunCommandBody
from poolwright.wire.arm.decode import decode, one_of
from poolwright.wire.arm.times import shown

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)
_NAMES = st.sampled_from(
    ["properties", "location", "tags", "sku", "creationData", "createOption", "diskSizeGB", "storageProfile",
     "osDisk", "dataDisks", "lun", "imageReference", "hardwareProfile", "managedDisk", "snapshot", "id"]
)  # fmt: skip
_SHAPED = st.recursive(
    _JSON,
    lambda inner: st.dictionaries(_NAMES, inner, max_size=6) | st.lists(inner, max_size=3),
    max_leaves=20,
)


@given(_SHAPED)
def test_nothing_but_a_named_400_comes_out(value: Any) -> None:
    body = json.dumps(value).encode()
    readers: list[Any] = [
        lambda: disk_spec(decode(body, DiskBody)),
        lambda: image_spec(decode(body, ImageBody)),
        lambda: machine_spec(decode(body, MachineBody)),
        lambda: machine_document(decode(body, MachineBody)),
        lambda: decode(body, RunCommandBody),
        lambda: document(decode(body, AccountBody)),
    ]
    for read in readers:
        error = refusal(read)
        if error is not None:
            assert error.status == 400
            assert error.code in ("InvalidParameter", "InvalidRequestContent")
            assert error.target or error.code == "InvalidRequestContent"


def refusal(read: Callable[[], object]) -> ManagementError | None:
    try:
        read()
    except ManagementError as error:
        return error
    return None


@given(st.binary(max_size=200))
def test_any_bytes_are_refused_politely(body: bytes) -> None:
    error = refusal(lambda: decode(body, DiskBody))
    assert error is None or error.status == 400


def test_explicit_nulls_mean_nothing() -> None:
    body = {
        "location": "local",
        "properties": {
            "storageProfile": {
                "imageReference": {"publisher": "p", "offer": "o", "sku": "s", "version": None},
                "osDisk": {
                    "createOption": "fromImage",
                    "name": None,
                    "managedDisk": {"storageAccountType": None},
                },
                "dataDisks": None,
            }
        },
    }
    spec = machine_spec(decode(json.dumps(body).encode(), MachineBody))
    assert (spec.os_disk.option, spec.os_disk.name, spec.data_disks) == ("FromImage", None, ())
    assert spec.image is not None
    assert spec.image.version == "latest"


def test_a_disk_names_a_marketplace_image_by_an_id() -> None:
    """Spelt as `az disk create --image-reference URN` sends it."""
    id = (
        "/Subscriptions/0/Providers/Microsoft.Compute/Locations/local/Publishers/debian"
        "/ArtifactTypes/VMImage/Offers/debian-12/Skus/12/Versions/12.1"
    )
    creation = {"createOption": "FromImage", "imageReference": {"id": id}}
    body = {"location": "local", "properties": {"creationData": creation}}
    spec = disk_spec(decode(json.dumps(body).encode(), DiskBody))
    assert spec.image == ImageChoice(None, "debian", "debian-12", "12", "12.1")
    creation["imageReference"] = {"id": f"{id}/more"}
    assert disk_spec(decode(json.dumps(body).encode(), DiskBody)).image is None


def test_secrets_are_not_kept() -> None:
    profile = {
        "computerName": "c",
        "adminUsername": "u",
        "adminPassword": "hunter2",
        "secrets": [],
    }
    body = {"location": "l", "properties": {"osProfile": profile}}
    kept = machine_document(decode(json.dumps(body).encode(), MachineBody))
    assert json.loads(kept)["osProfile"] == {"computerName": "c", "adminUsername": "u"}


def test_enums_are_taken_in_any_case_and_kept_as_published() -> None:
    assert one_of("x", "sTANDARD_lrs", ("Premium_LRS", "Standard_LRS")) == "Standard_LRS"
    with pytest.raises(ManagementError, match="Premium_LRS, Standard_LRS"):
        one_of("x", "gold", ("Premium_LRS", "Standard_LRS"))


def test_times_have_seven_digits_and_an_offset() -> None:
    assert shown(1_800_000_000_000_042) == "2027-01-15T08:00:00.0000420+00:00"


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("/subscriptions/S/resourcegroups/G", "/subscriptions/s/resourcegroups/g"),
        (
            "/SUBSCRIPTIONS/S/resourceGroups/G/PROVIDERS/microsoft.compute/DISKS/D/",
            "/subscriptions/s/resourcegroups/g/providers/microsoft.compute/disks/d",
        ),
    ],
)
def test_ids(text: str, key: str) -> None:
    found = parse(text)
    assert found is not None
    assert found.key == key
    again = parse(found.text)
    assert again == found


@pytest.mark.parametrize(
    "text", ["", "x", "/subscriptions/s", "/subscriptions/s/resourceGroups/g/providers/a/b", "//"]
)
def test_no_ids(text: str) -> None:
    assert parse(text) is None
