"""Disks and mounts of pools through the official SDK."""

from __future__ import annotations

from typing import Any

import pytest
from azure.batch import models
from azure.core.exceptions import HttpResponseError

from poolwright.commands import pools
from poolwright.domain.storage import PoolDisk, PoolMount
from tests.unit.identity.parts import ACCOUNT
from tests.wire.batch.conftest import Live
from tests.wire.batch.test_sdk_sync import pool_options


def test_disks_are_recorded_and_echoed(live: Live) -> None:
    options = pool_options("with-disks")
    machine: Any = options.virtual_machine_configuration
    machine.os_disk = models.BatchOsDisk(
        disk_size_gb=64,
        caching="readonly",
        managed_disk=models.ManagedDisk(storage_account_type="StandardSSD_LRS"),
        ephemeral_os_disk_settings=models.BatchDiffDiskSettings(placement="cachedisk"),
        write_accelerator_enabled=False,
    )
    machine.data_disks = [
        models.DataDisk(
            logical_unit_number=1,
            disk_size_gb=10,
            managed_disk=models.ManagedDisk(storage_account_type="premium_lrs"),
        ),
        models.DataDisk(logical_unit_number=63, disk_size_gb=2, caching="none"),
    ]
    with live.client() as client:
        client.create_pool(options)
        shown: Any = client.get_pool("with-disks").virtual_machine_configuration
    assert (shown.os_disk.disk_size_gb, shown.os_disk.caching) == (64, "readonly")
    assert shown.os_disk.managed_disk.storage_account_type == "standardssd_lrs"
    assert shown.os_disk.ephemeral_os_disk_settings.placement == "cachedisk"
    assert [(disk.logical_unit_number, disk.disk_size_gb, disk.caching) for disk in shown.data_disks] == [
        (1, 10, None),
        (63, 2, "none"),
    ]
    spec = live.read(lambda tx: pools.get(tx, ACCOUNT, "with-disks")).spec
    assert spec.os_disk == PoolDisk(None, 64, "StandardSSD_LRS", "readonly")
    assert spec.data_disks == (PoolDisk(1, 10, "Premium_LRS"), PoolDisk(63, 2, "Standard_LRS", "none"))


def test_mounts_are_echoed_and_refusals_show_no_secret(live: Live) -> None:
    options = pool_options("with-mounts")
    options.mount_configuration = [
        models.MountConfiguration(
            nfs_mount_configuration=models.NfsMountConfiguration(
                source=source, relative_mount_path=path, mount_options=more
            )
        )
        for source, path, more in (
            ("10.0.0.4:/export", "nfs", "-o vers=4,ro"),
            ("poolwright:scenes/robot", "scenes/robot", None),
        )
    ]
    with live.client() as client:
        client.create_pool(options)
        shown: Any = client.get_pool("with-mounts").mount_configuration
        assert [mount.nfs_mount_configuration.source for mount in shown] == [
            "10.0.0.4:/export",
            "poolwright:scenes/robot",
        ]
        secret = models.AzureBlobFileSystemConfiguration(
            account_name="a", container_name="c", account_key="very-secret", relative_mount_path="b"
        )
        options.id = "refused"
        options.mount_configuration = [models.MountConfiguration(azure_blob_file_system_configuration=secret)]
        with pytest.raises(HttpResponseError) as refused:
            client.create_pool(options)
    assert "very-secret" not in str(refused.value) + str(refused.value.response)
    assert "output files" in str(refused.value)
    spec = live.read(lambda tx: pools.get(tx, ACCOUNT, "with-mounts")).spec
    assert spec.mounts == (
        PoolMount("nfs", "10.0.0.4:/export", "vers=4,ro"),
        PoolMount("scenes/robot", "poolwright:scenes/robot"),
    )
