"""NFS really mounted. A guest plays it and serves it to itself (tests/support/guest.py); not collected otherwise."""

from __future__ import annotations

from pathlib import Path

import pytest

from poolwright.engines.base import NodeMount
from tests.contract.engines.rig import Rig, node
from tests.contract.engines.test_sandbox import ADMIN, made, out
from tests.support.guest_init import EXPORT

pytestmark = pytest.mark.needs_root


async def test_an_export_is_shared_by_nodes_read_only_where_asked(rig: Rig, image: Path) -> None:
    mounts = (NodeMount("rw", "nfs", EXPORT), NodeMount("ro", "nfs", EXPORT, read_only=True))
    machines = await made(rig, node("a", image, mounts=mounts), node("b", image, mounts=mounts))
    assert [machine.troubles for machine in machines] == [(), ()]
    base = "/mnt/batch/tasks/fsmounts"
    await out(rig, "a", "e1", f"echo shared > {base}/rw/new", user=ADMIN)
    assert await out(rig, "b", "e2", f"cat {base}/ro/new") == "shared\n"
    assert (await rig.run("b", "e3", f"rm {base}/ro/new", user=ADMIN))["exit_code"] != 0
    await out(rig, "a", "e4", f"rm {base}/rw/new", user=ADMIN)
    assert f"{EXPORT} at rw: mounted" in await rig.text("a", "fsmounts/fshare-rw.log")
