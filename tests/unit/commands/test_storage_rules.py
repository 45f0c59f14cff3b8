"""What a pool's disks may be beside those of its image."""

from __future__ import annotations

from dataclasses import replace

import pytest

from poolwright.commands import pools
from poolwright.domain.compute import ImageDisk, ImageState, dump
from poolwright.domain.pool import PoolSpec
from poolwright.domain.storage import PoolDisk
from tests.unit.commands.conftest import World
from tests.unit.commands.values import CUSTOM, image

GIB = 1 << 30


@pytest.mark.parametrize(
    ("spec", "named", "reason"),
    [
        (replace(CUSTOM, data_disks=(PoolDisk(0, 1), PoolDisk(4, 1))), "dataDisks[1].lun", "of the image"),
        (replace(CUSTOM, os_disk=PoolDisk(None, 2)), "osDisk.diskSizeGB", "has 3 GB"),
        (replace(CUSTOM, data_disks=tuple(PoolDisk(lun, 1) for lun in range(65))), "dataDisks", "at most 64"),
    ],
)
def test_disks_fit_the_image_and_the_size(world: World, spec: PoolSpec, named: str, reason: str) -> None:
    disks = (ImageDisk(4, "i-lun4"),)
    inner = dump(ImageState("i-os", (), disks, 2 * GIB + 1, agent_sku="batch.node.debian 12"))
    world.write(lambda tx: tx.resources.insert(replace(image(), inner=inner)))
    values = dict(world.refused("InvalidPropertyValue", pools.create, "P1", spec, b"{}", 1, 0).values)
    assert values["PropertyName"] == f"virtualMachineConfiguration.{named}"
    assert reason in values["Reason"]
    fitting = replace(CUSTOM, data_disks=(PoolDisk(5, 1),), os_disk=PoolDisk(None, 3))
    world.do(pools.create, "P1", fitting, b"{}", 1, 0)
