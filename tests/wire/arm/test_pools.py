"""Pools through Resource Manager, with the official client; the data plane's own rules are tested there."""

from __future__ import annotations

import datetime
import threading
from dataclasses import replace
from typing import Any

import pytest
from azure.core import MatchConditions
from azure.core.exceptions import HttpResponseError
from azure.mgmt.batch import models as m

from poolwright.domain.states import AllocationState, DeallocationOption, NodeState, PoolState
from poolwright.store.base import Tx
from tests.unit.decide.parts import node
from tests.wire.arm.conftest import LiveArm
from tests.wire.arm.test_packages import ACCOUNT, desk, refusal
from tests.wire.arm.test_sdk_story import GROUP, clients

__all__ = ["clients", "desk"]
HERE = (GROUP, ACCOUNT)


def machine(**changes: Any) -> m.DeploymentConfiguration:
    image = m.ImageReference(publisher="debian", offer="debian-12", sku="12")
    whole = {"image_reference": image, "node_agent_sku_id": "batch.node.debian 12", **changes}
    return m.DeploymentConfiguration(virtual_machine_configuration=m.VirtualMachineConfiguration(**whole))


def pool(**changes: Any) -> m.Pool:
    whole = {"vm_size": "Standard_D2s_v3", "deployment_configuration": machine(), **changes}
    return m.Pool(properties=m.PoolProperties(**whole))


def fixed(**values: Any) -> m.ScaleSettings:
    return m.ScaleSettings(fixed_scale=m.FixedScaleSettings(**values))


def formula(text: str, minutes: int = 15) -> m.ScaleSettings:
    interval = datetime.timedelta(minutes=minutes)
    return m.ScaleSettings(auto_scale=m.AutoScaleSettings(formula=text, evaluation_interval=interval))


def settle(live: LiveArm, name: str) -> None:
    """As the pool's loop would, which this server has not: the resize under way is over."""

    def steady(tx: Tx) -> None:
        found = tx.pools.get(ACCOUNT, name)
        assert found is not None
        tx.pools.update(replace(found, allocation=AllocationState.STEADY))

    live.write(steady)


def whole_pool() -> m.Pool:
    rule = m.NetworkSecurityGroupRule(priority=150, access="Deny", source_address_prefix="*")
    web = m.InboundNatPool(
        name="web",
        protocol="TCP",
        backend_port=8080,
        frontend_port_range_start=42_000,
        frontend_port_range_end=42_050,
        network_security_group_rules=[rule],
    )
    disk = m.ManagedDisk(storage_account_type="Standard_LRS")
    admin = m.AutoUserSpecification(elevation_level="Admin", scope="Pool")
    return pool(
        display_name="Farm",
        deployment_configuration=machine(
            data_disks=[m.DataDisk(lun=3, disk_size_gb=1, caching="ReadOnly", managed_disk=disk)]
        ),
        scale_settings=fixed(target_low_priority_nodes=2, resize_timeout=datetime.timedelta(minutes=20)),
        inter_node_communication="Enabled",
        task_slots_per_node=1,
        task_scheduling_policy=m.TaskSchedulingPolicy(node_fill_type="Pack"),
        metadata=[m.MetadataItem(name="userName", value="Deny")],
        user_accounts=[m.UserAccount(name="painter", password="secret word", elevation_level="NonAdmin")],
        network_configuration=m.NetworkConfiguration(
            endpoint_configuration=m.PoolEndpointConfiguration(inbound_nat_pools=[web])
        ),
        start_task=m.StartTask(
            command_line="/bin/true",
            environment_settings=[m.EnvironmentSetting(name="scope", value="TASK")],
            user_identity=m.UserIdentity(auto_user=admin),
            wait_for_success=True,
        ),
    )


def test_what_a_pool_is_made_with_comes_back_in_its_own_words(desk: Any, live: LiveArm) -> None:
    sent = whole_pool()
    made = desk.pool.create(*HERE, "whole", sent)
    assert (made.name, made.type) == ("whole", "Microsoft.Batch/batchAccounts/pools")
    assert made.id.endswith(f"/batchAccounts/{ACCOUNT}/pools/whole")
    back = made.properties
    assert (back.allocation_state, back.provisioning_state) == ("Resizing", "Succeeded")
    assert back.resize_operation_status.target_low_priority_nodes == 2
    assert back.scale_settings.fixed_scale.resize_timeout == datetime.timedelta(minutes=20)
    assert "secret word" not in str(made.as_dict())
    given, shown = sent.as_dict()["properties"], back.as_dict()
    for name in (
        "displayName",
        "metadata",
        "networkConfiguration",
        "interNodeCommunication",
        "taskSlotsPerNode",
    ):
        assert shown[name] == given[name]
    assert shown["deploymentConfiguration"]["virtualMachineConfiguration"]["dataDisks"] == [
        {
            "lun": 3,
            "diskSizeGB": 1,
            "caching": "ReadOnly",
            "managedDisk": {"storageAccountType": "Standard_LRS"},
        }
    ]
    assert shown["startTask"] == {**given["startTask"], "maxTaskRetryCount": 0}
    assert shown["taskSchedulingPolicy"]["nodeFillType"] == "Pack"
    assert shown["userAccounts"] == [{"name": "painter", "elevationLevel": "NonAdmin"}]
    # It is the data plane's pool.
    stored = live.read(lambda tx: tx.pools.get(ACCOUNT, "whole"))
    assert stored is not None
    assert (stored.target_low_priority, stored.spec.inter_node) == (2, True)
    assert stored.spec.accounts[0].name == "painter"
    assert desk.pool.get(*HERE, "WHOLE").etag == made.etag
    assert refusal(desk.pool.create, *HERE, "Whole", sent) == (409, "PoolExists")
    other = m.Pool(properties=m.PoolProperties(display_name="x"))
    with pytest.raises(HttpResponseError) as stale:
        desk.pool.update(*HERE, "whole", other, etag='W/"0x1"', match_condition=MatchConditions.IfNotModified)
    assert stale.value.status_code == 412


def test_a_pool_is_sized_by_its_scale_settings(desk: Any, live: LiveArm) -> None:
    assert desk.pool.create(*HERE, "sized", pool()).properties.current_dedicated_nodes == 0
    settle(live, "sized")
    size = fixed(target_dedicated_nodes=3, node_deallocation_option="TaskCompletion")
    change = m.Pool(properties=m.PoolProperties(scale_settings=size))
    grown = desk.pool.update(*HERE, "sized", change).properties
    assert (grown.allocation_state, grown.scale_settings.fixed_scale.target_dedicated_nodes) == (
        "Resizing",
        3,
    )
    stored = live.read(lambda tx: tx.pools.get(ACCOUNT, "sized"))
    assert stored is not None
    assert stored.resize.option is DeallocationOption.TASK_COMPLETION
    # The same once more is no other resize, which a pool that is resizing would refuse.
    desk.pool.update(*HERE, "sized", change)
    assert desk.pool.stop_resize(*HERE, "sized").properties.allocation_state == "Stopping"
    settle(live, "sized")
    by_formula = m.Pool(properties=m.PoolProperties(scale_settings=formula("$TargetDedicatedNodes=1;", 6)))
    scaled = desk.pool.update(*HERE, "sized", by_formula).properties.scale_settings
    assert scaled.fixed_scale is None
    assert scaled.auto_scale.evaluation_interval == datetime.timedelta(minutes=6)
    desk.pool.update(*HERE, "sized", by_formula)
    one = node("n1", NodeState.IDLE, account=ACCOUNT, pool="sized")
    live.write(lambda tx: tx.nodes.insert_many([one]))
    assert desk.pool.get(*HERE, "sized").properties.current_dedicated_nodes == 1
    assert desk.pool.disable_auto_scale(*HERE, "sized").properties.scale_settings.auto_scale is None
    live.write(lambda tx: tx.nodes.delete(ACCOUNT, "sized", "n1"))
    syntax = m.Pool(properties=m.PoolProperties(scale_settings=formula("$x=")))
    assert refusal(desk.pool.update, *HERE, "sized", syntax) == (400, "AutoScalingFormulaSyntaxError")


@pytest.mark.parametrize(
    ("changes", "code", "named"),
    [
        ({"vm_size": "huge"}, "InvalidPropertyValue", "properties.vmSize"),
        (
            {"deployment_configuration": machine(node_agent_sku_id="batch.node.el 9")},
            "InvalidPropertyValue",
            "properties.deploymentConfiguration.virtualMachineConfiguration.nodeAgentSKUId",
        ),
        (
            {"scale_settings": fixed(target_dedicated_nodes=-1)},
            "InvalidPropertyValue",
            "properties.scaleSettings.fixedScale.targetDedicatedNodes",
        ),
        (
            {"application_packages": [m.ApplicationPackageReference(id="/a/b/applications/none")]},
            "InvalidApplicationPackageReferences",
            "none",
        ),
        ({"inter_node_communication": "Perhaps"}, "InvalidParameter", "properties.interNodeCommunication"),
    ],
)
def test_a_refusal_names_the_property_of_the_body(
    desk: Any, changes: dict[str, Any], code: str, named: str
) -> None:
    with pytest.raises(HttpResponseError) as refused:
        desk.pool.create(*HERE, "bad", pool(**changes))
    assert refused.value.error is not None
    assert refused.value.error.code == code
    assert named in str(refused.value)
    assert refusal(desk.pool.get, *HERE, "bad") == (404, "PoolNotFound")


@pytest.mark.parametrize(
    ("whole", "target"),
    [
        ({"identity": {"type": "UserAssigned", "userAssignedIdentities": {"/x": {}}}}, "identity"),
        ({"tags": {"a": "b"}}, "tags"),
        ({"properties": {"certificates": [{"id": "/x"}]}}, "properties.certificates"),
        ({"properties": {"nonsense": 1}}, "properties.nonsense"),
        ({"properties": 5}, "properties"),
        (
            {"properties": {"scaleSettings": {"autoScale": {"formula": "x", "other": 1}}}},
            "properties.scaleSettings.autoScale.other",
        ),
        (
            {"properties": {"scaleSettings": {"autoScale": {}, "fixedScale": {}}}},
            "properties.scaleSettings",
        ),
        (
            {"properties": {"deploymentConfiguration": {"cloudServiceConfiguration": {"osFamily": "5"}}}},
            "properties.deploymentConfiguration.cloudServiceConfiguration",
        ),
    ],
)
def test_what_is_not_in_force_is_refused_by_name(desk: Any, whole: dict[str, Any], target: str) -> None:
    with pytest.raises(HttpResponseError) as refused:
        desk.pool.create(*HERE, "bad", whole)
    assert (refused.value.status_code, refused.value.error.target) == (400, target)  # type: ignore[union-attr]


def test_a_full_disk_takes_no_pool_in(desk: Any, live: LiveArm) -> None:
    live.full = "The disk has 1 MiB left"
    try:
        assert refusal(desk.pool.create, *HERE, "bad", pool())[1] == "HostDiskFull"
    finally:
        live.full = None


def test_pools_are_listed_in_pages_and_deleted_for_good(desk: Any, live: LiveArm) -> None:
    for name in ("list-a", "list-b", "list-c"):
        desk.pool.create(*HERE, name, pool())
    everything = [one.name for one in desk.pool.list_by_batch_account(*HERE)]
    assert {"list-a", "list-b", "list-c"} <= set(everything)
    assert [one.name for one in desk.pool.list_by_batch_account(*HERE, maxresults=1)] == everything
    assert refusal(lambda: list(desk.pool.list_by_batch_account(*HERE, filter="name eq 'x'")))[0] == 400
    under_way = desk.pool.begin_delete(*HERE, "list-a", polling_interval=0)
    assert desk.pool.get(*HERE, "list-a").properties.provisioning_state == "Deleting"

    def gone(tx: Tx) -> None:
        found = tx.pools.get(ACCOUNT, "list-a")
        assert found is not None
        assert found.state is PoolState.DELETING
        tx.pools.delete(ACCOUNT, "list-a")

    ended = threading.Timer(0, lambda: live.write(gone))
    ended.start()
    under_way.result(30)
    assert refusal(desk.pool.get, *HERE, "list-a") == (404, "PoolNotFound")
    assert desk.pool.begin_delete(*HERE, "list-a").result() is None
