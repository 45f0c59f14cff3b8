"""Statements on create properties and changes of pools that no other test holds, through the client or as bytes.

The order is that of the public tables: create properties, changes, resizes.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from azure.batch import models as batch
from azure.core.exceptions import HttpResponseError

from poolwright.commands import pools
from poolwright.domain.states import PoolState
from tests.unit.identity.parts import ACCOUNT
from tests.wire.batch.bad_bodies import MACHINE, POOL, machine
from tests.wire.batch.conftest import OLD_VERSION, Live
from tests.wire.batch.raw import Caller

WINDOWS: dict[str, Any] = {
    "imageReference": {
        "publisher": "microsoftwindowsserver",
        "offer": "windowsserver",
        "sku": "2022-datacenter",
    },
    "nodeAgentSKUId": "batch.node.windows amd64",
}


@pytest.fixture(scope="module")
def call(live: Live) -> Caller:
    return Caller(live)


def code(error: pytest.ExceptionInfo[HttpResponseError]) -> tuple[int | None, str | None]:
    found = error.value.error
    return error.value.status_code, found.code if found is not None else None


def test_names_at_their_ends(call: Caller) -> None:
    body = {**POOL, "id": "P" * 64, "displayName": "é" * 1024, "targetDedicatedNodes": 0}
    assert call("POST", "/pools", body).status == 201
    assert call("POST", "/pools", {**body, "id": "p" * 64}).code == "PoolExists"
    assert call("POST", "/pools", {**body, "id": "another"}).status == 201, "display names may be equal"


def test_a_pool_is_of_virtual_machines_and_nothing_else(call: Caller) -> None:
    both = {**POOL, "id": "both", "cloudServiceConfiguration": {"osFamily": "6"}}
    for version in (OLD_VERSION, "2025-06-01"):
        refused = call("POST", "/pools", both, version=version)
        assert (refused.status, refused.values["PropertyName"]) == (400, "cloudServiceConfiguration")


def test_one_omitted_target_is_zero(live: Live, call: Caller) -> None:
    body = {**POOL, "id": "low", "targetLowPriorityNodes": 2}
    body.pop("targetDedicatedNodes")
    assert call("POST", "/pools", body).status == 201
    with live.client() as client:
        shown = client.get_pool("low")
    assert (shown.target_dedicated_nodes, shown.target_low_priority_nodes) == (0, 2)
    assert (shown.allocation_state, shown.resize_timeout) == ("resizing", timedelta(minutes=15))


def test_a_task_runs_as_one_user(call: Caller) -> None:
    both = {"username": "u", "autoUser": {"scope": "pool"}}
    refused = call("POST", "/pools", {**POOL, "startTask": {"commandLine": "x", "userIdentity": both}})
    assert (refused.code, refused.values["PropertyName"]) == (
        "InvalidPropertyValue",
        "startTask.userIdentity",
    )


def test_ten_mounts_and_no_more(call: Caller) -> None:
    mounts = [
        {"nfsMountConfiguration": {"source": "10.0.0.4:/x", "relativeMountPath": f"m{number}"}}
        for number in range(11)
    ]
    ten = {**POOL, "id": "mounts", "targetDedicatedNodes": 0, "mountConfiguration": mounts[:10]}
    assert call("POST", "/pools", ten).status == 201
    refused = call("POST", "/pools", {**POOL, "mountConfiguration": mounts})
    assert (refused.code, refused.values["PropertyName"]) == ("InvalidPropertyValue", "mountConfiguration")


@pytest.mark.parametrize(
    ("given", "caching"),
    [
        ({"diskSizeGB": 64}, "none"),
        ({"diskSizeGB": 64, "managedDisk": {"storageAccountType": "standard_lrs"}}, "none"),
        ({"diskSizeGB": 64, "managedDisk": {"storageAccountType": "premium_lrs"}}, "readonly"),
        ({"managedDisk": {"storageAccountType": "premium_lrs"}, "caching": "readwrite"}, "readwrite"),
    ],
)
def test_the_cache_of_an_os_disk_follows_its_type(
    live: Live, call: Caller, given: dict[str, Any], caching: str, request: pytest.FixtureRequest
) -> None:
    id = f"cache-{request.node.callspec.indices['given']}"
    assert call("POST", "/pools", {**POOL, "id": id, **machine(osDisk=given)}).status == 201
    disk = live.read(lambda tx: pools.get(tx, ACCOUNT, id)).spec.os_disk
    assert disk is not None
    assert disk.caching == caching


def test_what_only_windows_has(live: Live, call: Caller) -> None:
    settings = {"licenseType": "Windows_Server", "windowsConfiguration": {"enableAutomaticUpdates": False}}
    body = {**POOL, "id": "windows", "targetDedicatedNodes": 0}
    body["virtualMachineConfiguration"] = {**WINDOWS, **settings}
    assert call("POST", "/pools", body).status == 201
    with live.client() as client:
        shown: Any = client.get_pool("windows").virtual_machine_configuration
    assert (shown.license_type, shown.windows_configuration.enable_automatic_updates) == (
        "Windows_Server",
        False,
    )
    for targets, told in (
        (["osdisk"], "InvalidPropertyValue"),
        (["osdisk", "temporarydisk"], "UnsupportedProperty"),
    ):
        whole = {**WINDOWS, "diskEncryptionConfiguration": {"targets": targets}}
        refused = call("POST", "/pools", {**body, "id": "w2", "virtualMachineConfiguration": whole})
        assert refused.code == told
        assert refused.values["PropertyName"].startswith("virtualMachineConfiguration.diskEncryption")


@pytest.mark.parametrize("name", ["securityProfile", "serviceArtifactReference", "extensions"])
def test_what_asks_for_nothing_is_taken(call: Caller, name: str) -> None:
    nothing: object = [] if name == "extensions" else {}
    body = {**POOL, "id": f"no-{name}", "targetDedicatedNodes": 0, **machine(**{name: nothing})}
    assert call("POST", "/pools", body).status == 201
    assert MACHINE["nodeAgentSKUId"] == "batch.node.debian 12"


def test_the_names_of_nodes_settings_before_2020(live: Live, call: Caller) -> None:
    body = {**POOL, "id": "older-slots", "maxTasksPerNode": 4, "targetDedicatedNodes": 0}
    assert call("POST", "/pools", body, version="2020-03-01.11.0").status == 201
    assert call("GET", "/pools/older-slots").document["taskSlotsPerNode"] == 4


def test_a_patch_leaves_alone_what_it_does_not_name(live: Live) -> None:
    options = batch.BatchPoolCreateOptions(
        id="patched",
        vm_size="standard_d2s_v3",
        virtual_machine_configuration=batch.VirtualMachineConfiguration(MACHINE),
        target_dedicated_nodes=0,
        start_task=batch.BatchStartTask(command_line="x"),
        metadata=[batch.BatchMetadataItem(name="a", value="1")],
    )
    with live.client() as client:
        client.create_pool(options)
        client.update_pool("patched", batch.BatchPoolUpdateOptions(metadata=[]))
        shown = client.get_pool("patched")
        assert not shown.metadata
        assert shown.start_task is not None
        replacing = batch.BatchPoolReplaceOptions(application_package_references=[], metadata=[])
        client.replace_pool_properties("patched", replacing)
        assert client.get_pool("patched").start_task is None


def test_a_pool_that_goes_takes_no_change(live: Live) -> None:
    with live.client() as client:
        client.create_pool(
            batch.BatchPoolCreateOptions(
                id="going",
                vm_size="standard_d2s_v3",
                virtual_machine_configuration=batch.VirtualMachineConfiguration(MACHINE),
                target_dedicated_nodes=0,
            )
        )
        deleting = replace(live.read(lambda tx: pools.get(tx, ACCOUNT, "going")), state=PoolState.DELETING)
        live.write(lambda tx: tx.pools.update(deleting))
        replacing = batch.BatchPoolReplaceOptions(application_package_references=[], metadata=[])
        for change in (
            lambda: client.update_pool("going", batch.BatchPoolUpdateOptions(metadata=[])),
            lambda: client.replace_pool_properties("going", replacing),
            lambda: client.begin_delete_pool("going"),
            lambda: client.begin_resize_pool("going", batch.BatchPoolResizeOptions(target_dedicated_nodes=1)),
            lambda: client.begin_stop_pool_resize("going"),
            lambda: client.enable_pool_auto_scale(
                "going", batch.BatchPoolEnableAutoScaleOptions(auto_scale_formula="$TargetDedicatedNodes=1")
            ),
        ):
            with pytest.raises(HttpResponseError) as refused:
                change()
            assert code(refused) == (409, "PoolBeingDeleted")


def test_while_a_pool_is_resized(live: Live, call: Caller) -> None:
    assert call("POST", "/pools", {**POOL, "id": "busy"}).status == 201
    formula = {"autoScaleFormula": "$TargetDedicatedNodes=1"}
    for path, body in (
        ("resize", {"targetDedicatedNodes": 2}),
        ("removenodes", {"nodeList": [live.add_node("busy", 1).id]}),
        ("enableautoscale", formula),
    ):
        refused = call("POST", f"/pools/busy/{path}", body)
        assert (refused.status, refused.code) == (409, "PoolBeingResized")
    live.settle("busy")
    assert call("POST", "/pools/busy/stopresize").code == "OperationInvalidForCurrentState"
    short: list[tuple[str, dict[str, object]]] = [
        ("resize", {"targetDedicatedNodes": 2, "resizeTimeout": "PT4M59S"}),
        ("removenodes", {"nodeList": [live.add_node("busy", 2).id], "resizeTimeout": "PT4M59S"}),
    ]
    for path, asked in short:
        refused = call("POST", f"/pools/busy/{path}", asked)
        assert (refused.code, refused.values["PropertyName"]) == ("InvalidPropertyValue", "resizeTimeout")
    assert call("POST", "/pools/busy/removenodes", {"nodeList": ["nowhere"]}).code == "NodeNotFound"
    assert call("POST", "/pools/busy/enableautoscale", formula).status == 200
    by_hand = call("POST", "/pools/busy/resize", {"targetDedicatedNodes": 2})
    assert (by_hand.status, by_hand.code) == (409, "OperationInvalidForCurrentState")


def test_the_upgrade_of_cloud_services_is_told_as_such(call: Caller) -> None:
    assert call("POST", "/pools", {**POOL, "id": "upgrades", "targetDedicatedNodes": 0}).status == 201
    refused = call("POST", "/pools/upgrades/upgradeos", {"targetOSVersion": "*"}, version="2018-08-01.7.0")
    assert (refused.status, refused.code) == (409, "OperationNotValidOnPool")
    assert call("POST", "/pools/upgrades/upgradeos", {}, version="2018-12-01.8.0").code == "InvalidUri"
