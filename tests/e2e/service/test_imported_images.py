"""A disk made elsewhere becomes an image, and the image a pool that runs tasks."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from azure.batch import models as batch
from azure.storage.blob import BlobClient

from poolwright.images.inspect import inspect_disk
from poolwright.images.vhd import FOOTER_BYTES
from tests.contract.engines.rig import make_tree
from tests.e2e.service.live import Live
from tests.e2e.service.test_cli import poolwright

pytestmark = pytest.mark.skipif(
    shutil.which("qemu-img") is None, reason="needs qemu-img: install the package qemu-utils"
)
START, MIB = 10240 * 512, 1024**2


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    """A partitioned raw disk with a small Linux in its second partition."""
    tree = tmp_path / "tree"
    make_tree(tree)
    (tree / "etc/os-release").unlink()
    (tree / "etc/os-release").write_text('ID=debian\nVERSION_ID="12"\nPRETTY_NAME="Elsewhere 12"\n')
    (tree / "etc/ssh").mkdir()
    (tree / "etc/ssh/ssh_host_rsa_key").write_text("a key that should not be here\n")
    path = tmp_path / "elsewhere.raw"
    with path.open("wb") as file:
        file.truncate(128 * MIB)
    layout = "label: gpt\nstart=2048, size=8192\nstart=10240\n"
    subprocess.run(["sfdisk", "--quiet", str(path)], input=layout, text=True, check=True)
    argv = ["mke2fs", "-q", "-t", "ext4", "-d", str(tree), "-E", f"root_owner=0:0,offset={START}", str(path)]
    subprocess.run([*argv, f"{110 * 1024}k"], check=True)
    return path


def test_an_uploaded_vhd_runs_tasks_and_comes_back(live: Live, disk: Path, tmp_path: Path) -> None:
    vhd = tmp_path / "elsewhere.vhd"
    argv = ["qemu-img", "convert", "-f", "raw", "-O", "vpc", "-o", "subformat=dynamic,force_size=on"]
    subprocess.run([*argv, str(disk), str(vhd)], check=True)
    done = poolwright("image", "import", str(vhd), "--name", "elsewhere", data_dir=live.data_dir)
    assert done.returncode == 0, done.stderr
    compute: Any = live.clients.compute  # its signatures do not admit the dictionaries it accepts
    image = compute.images.get("images", "elsewhere")
    assert done.stdout.strip() == image.id
    assert "HostKeys" in done.stderr
    assert list(compute.disks.list()) == []

    checked = poolwright("image", "check", "elsewhere", data_dir=live.data_dir)
    assert (checked.returncode, "HostKeys" in checked.stdout) == (0, True), checked
    fixed = poolwright("image", "check", "elsewhere", "--fix", "--into", "mended", data_dir=live.data_dir)
    assert (fixed.returncode, "HostKeys" in fixed.stderr, "HostKeys" in fixed.stdout) == (0, True, False), (
        fixed
    )
    mended = compute.images.get("images", "mended")
    assert str(mended.id) in fixed.stdout

    machine = batch.VirtualMachineConfiguration(
        image_reference=batch.BatchVmImageReference(virtual_machine_image_id=mended.id),
        node_agent_sku_id="batch.node.debian 12",
    )
    live.batch.create_pool(
        batch.BatchPoolCreateOptions(
            id="pool",
            vm_size="standard_d2s_v3",
            virtual_machine_configuration=machine,
            target_dedicated_nodes=2,
        )
    )
    live.wait_nodes("pool", {"idle": 2})
    live.job()
    live.task("t", "cat /etc/os-release; ls /etc/ssh")
    live.wait_task("t", "completed")
    assert "Elsewhere 12" in live.output("t")
    assert "ssh_host" not in live.output("t")

    wanted = {"location": "local", "properties": {"creationData": {
        "createOption": "FromImage", "imageReference": {"id": image.id}}}}  # fmt: skip
    compute.disks.begin_create_or_update("images", "back", wanted, polling_interval=1).result()
    access = {"access": "Read", "durationInSeconds": 600}
    url = compute.disks.begin_grant_access("images", "back", access).result().access_sas
    back = tmp_path / "back.vhd"
    with BlobClient.from_blob_url(str(url)) as blob, back.open("wb") as file:
        blob.download_blob().readinto(file)
    subprocess.run(["qemu-img", "compare", "-f", "vpc", "-F", "raw", str(back), str(disk)], check=True)
    assert back.stat().st_size == 128 * MIB + FOOTER_BYTES
    assert inspect_disk(back).partition_offset == START


@pytest.mark.one_service
def test_a_file_that_holds_no_disk_is_refused_with_the_reason(live: Live, disk: Path, tmp_path: Path) -> None:
    backed = tmp_path / "backed.qcow2"
    argv = ["qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", str(disk), str(backed)]
    subprocess.run(argv, check=True)
    done = poolwright("image", "import", str(backed), "--name", "stolen", data_dir=live.data_dir)
    assert done.returncode == 1
    assert "ImageNotSupported" in done.stderr
    noise = tmp_path / "noise.img"
    noise.write_bytes(os.urandom(100_000))
    done = poolwright("image", "import", str(noise), "--name", "noise", data_dir=live.data_dir)
    assert (done.returncode, "NoFileSystem" in done.stderr) == (3, True), done
    done = poolwright("image", "import", str(tmp_path / "none"), "--name", "none", data_dir=live.data_dir)
    assert (done.returncode, "is no file" in done.stderr) == (1, True)
