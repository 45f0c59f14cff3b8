"""The two shapes of a pool: older bodies, the caller's own words, and places of refused properties."""

from __future__ import annotations

import msgspec

from poolwright.domain.errors import bad_property
from poolwright.wire.arm import pools
from poolwright.wire.arm.pool_shape import to_data_plane, to_management


def test_a_body_of_2024_is_read_under_todays_names() -> None:
    """As Snakemake's executor sends it by azure-mgmt-batch 17.3."""
    machine = {
        "imageReference": {"id": "/images/i", "publisher": None},
        "nodeAgentSkuId": "batch.node.debian 12",
        "dataDisks": [{"lun": 0, "diskSizeGB": 1, "storageAccountType": "Premium_LRS"}],
        "containerConfiguration": {"type": "dockerCompatible", "containerImageNames": ["a:1"]},
    }
    properties = {
        "vmSize": "Standard_D2_v3",
        "deploymentConfiguration": {"virtualMachineConfiguration": machine},
        "scaleSettings": {"fixedScale": {"targetDedicatedNodes": 1, "resizeTimeout": "PT15M"}},
        "targetNodeCommunicationMode": "Classic",
        "certificates": None,
        "interNodeCommunication": None,
    }
    body = pools.read(msgspec.json.encode({"properties": properties}))
    assert msgspec.json.decode(pools.new_pool("p", body)) == {
        "id": "p",
        "vmSize": "Standard_D2_v3",
        "targetNodeCommunicationMode": "Classic",
        "virtualMachineConfiguration": {
            "imageReference": {"virtualMachineImageId": "/images/i"},
            "nodeAgentSKUId": "batch.node.debian 12",
            "dataDisks": [{"lun": 0, "diskSizeGB": 1, "managedDisk": {"storageAccountType": "Premium_LRS"}}],
            "containerConfiguration": {"type": "dockerCompatible", "containerImageNames": ["a:1"]},
        },
        "targetDedicatedNodes": 1,
        "resizeTimeout": "PT15M",
    }


def test_a_pool_without_scale_settings_has_no_nodes() -> None:
    made = msgspec.json.decode(pools.new_pool("p", pools.read(b'{"properties": {}}')))
    assert made == {"id": "p", "targetDedicatedNodes": 0}


def test_the_callers_own_words_are_no_names() -> None:
    words = {
        "environmentSettings": [{"name": "userName", "value": "task"}],
        "userIdentity": {"userName": "u"},
    }
    there = to_data_plane(words)
    assert there == {**words, "userIdentity": {"username": "u"}}
    assert to_management(there) == words
    metadata = [{"name": "scope", "value": "task"}]
    assert to_management(metadata, "metadata") == metadata


def test_refused_properties_are_named_where_the_caller_wrote_them() -> None:
    for name, place in (
        ("vmSize", "properties.vmSize"),
        ("metadata[3].name", "properties.metadata[3].name"),
        ("applicationPackageReferences[0].version", "properties.applicationPackages[0].version"),
        (
            "virtualMachineConfiguration.imageReference.virtualMachineImageId",
            "properties.deploymentConfiguration.virtualMachineConfiguration.imageReference.id",
        ),
        ("autoScaleFormula", "properties.scaleSettings.autoScale.formula"),
    ):
        told = pools.told(bad_property(name, "x", "Because."))
        assert told.target == place
        assert f"PropertyName: {place}; PropertyValue: x; Reason: Because." in told.message
