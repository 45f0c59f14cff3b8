"""A running service with a small image, made through the official clients, for benchmarks to use."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from azure.batch import BatchClient
from azure.mgmt.batch import models as accounts
from azure.mgmt.compute import models as compute

from demo.clients import Clients, connect
from demo.machine import POLL, newest_base_image
from demo.service import Service

GROUP, ACCOUNT = "bench", "benchmarks"


@dataclass(frozen=True, slots=True)
class Setting:
    """What a benchmark needs: clients, the image's resource id, its agent SKU, the data directory."""

    clients: Clients
    batch: BatchClient
    image_id: str
    agent_sku: str
    data_dir: Path
    service_pid: int


@contextmanager
def running(parent: Path | None = None, script: Sequence[str] = ()) -> Iterator[Setting]:
    """Start a service in a fresh data directory below `parent`, make an image, hand it out, clean up.

    `script` is run in the machine that the image is made of.
    """
    scratch = Path(tempfile.mkdtemp(prefix="poolwright-bench-", dir=parent))
    scratch.chmod(0o755)
    service = Service(scratch / "data", scratch / "service.log", Path(".dev/cache/base").resolve())
    try:
        ready = service.start()
        clients = connect(ready)
        yield _prepare(clients, scratch / "data", ready.pid, script)
    except Exception:
        print(service.log_tail())
        raise
    finally:
        service.stop()
        service.down()
        shutil.rmtree(scratch, ignore_errors=True)


def _prepare(clients: Clients, data_dir: Path, pid: int, script: Sequence[str]) -> Setting:
    subscription = next(iter(clients.subscriptions.subscriptions.list()))
    location = next(
        iter(clients.subscriptions.subscriptions.list_locations(subscription.subscription_id))
    ).name
    clients.resources.resource_groups.create_or_update(GROUP, {"location": location})
    reference = newest_base_image(clients, location)
    machine = compute.VirtualMachine(
        location=location,
        hardware_profile=compute.HardwareProfile(vm_size="Standard_A1_v2"),
        storage_profile=compute.StorageProfile(
            image_reference=reference, os_disk=compute.OSDisk(name="os", create_option="FromImage")
        ),
        os_profile=compute.OSProfile(computer_name="template", admin_username="builder"),
    )
    machines = clients.compute.virtual_machines
    made_machine = machines.begin_create_or_update(GROUP, "template", machine, **POLL).result()
    if script:
        command = compute.RunCommandInput(command_id="RunShellScript", script=list(script))
        machines.begin_run_command(GROUP, "template", command, **POLL).result()
    machines.begin_deallocate(GROUP, "template", **POLL).result()
    machines.generalize(GROUP, "template")
    image = clients.compute.images.begin_create_or_update(
        GROUP,
        "image",
        compute.Image(location=location, source_virtual_machine=compute.SubResource(id=made_machine.id)),
        **POLL,
    ).result()
    made = clients.accounts.batch_account.begin_create(
        GROUP, ACCOUNT, accounts.BatchAccountCreateParameters(location=location), **POLL
    ).result()
    batch = clients.batch(str(made.account_endpoint))
    images = batch.list_supported_images()
    sku = next(image for image in images if image.verification_type == "verified").node_agent_sku_id
    return Setting(clients, batch, str(image.id), str(sku), data_dir, pid)
