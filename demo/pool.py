"""The second half of the story: a pool of clones, a job of many tasks, results, guard rails."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from azure.batch import BatchClient
from azure.batch import models as batch
from azure.core.exceptions import HttpResponseError
from azure.mgmt.batch import models as accounts

from demo import scene
from demo.clients import Clients
from demo.display import Display, StepLog
from demo.machine import GROUP, IMAGE, POLL, Prepared
from demo.service import Service
from demo.sheet import contact_sheet

ACCOUNT = "renderfarm"
POOL = "renderers"
TWIN_POOL = "renderers-twin"
JOB = "orbit"
DEDICATED, LOW_PRIORITY, SLOTS = 2, 2, 2
LOW_LIMIT = 6  # of dedicated nodes over all pools sharing the image, for one guard rail; the default is 2,500
WAIT_S = 300.0


def wait_until(
    holds: Callable[[], bool], what: str, deadline_s: float = WAIT_S, pause_s: float = 0.1
) -> None:
    """Poll until `holds`. Raises TimeoutError saying what was waited for."""
    end = time.monotonic() + deadline_s
    while not holds():
        if time.monotonic() > end:
            raise TimeoutError(f"after {deadline_s:.0f} s still not: {what}")
        time.sleep(pause_s)


def create_account(display: Display, clients: Clients, location: str) -> tuple[BatchClient, BatchClient]:
    """Step 5a: a batch account; clients for it by token and by shared key."""
    with display.step("Create a batch account") as log:
        wanted = accounts.BatchAccountCreateParameters(location=location)
        made = clients.accounts.batch_account.begin_create(GROUP, ACCOUNT, wanted, **POLL).result()
        keys = clients.accounts.batch_account.get_keys(GROUP, ACCOUNT)
        endpoint = made.account_endpoint
        log.note(f"{ACCOUNT} at https://{endpoint}")
        return clients.batch(endpoint), clients.batch_by_key(endpoint, ACCOUNT, keys.primary)


def agent_sku(display: Display, client: BatchClient) -> str:
    """Step 5b: the supported images; the agent SKU of the first verified one this host builds."""
    with display.step("List supported images and agent SKUs") as log:
        images = [image for image in client.list_supported_images() if image.verification_type == "verified"]
        log.expect(bool(images), "no image that this host can build is listed")
        skus = sorted({str(image.node_agent_sku_id) for image in images})
        log.note(f"images this host can build: {len(images)}, agent SKUs: {', '.join(skus)}")
    return skus[0]


def pool_options(
    pool_id: str, image_id: str, sku: str, dedicated: int, low: int
) -> batch.BatchPoolCreateOptions:
    """A pool from a custom image, with a start task and two slots a node."""
    return batch.BatchPoolCreateOptions(
        id=pool_id,
        vm_size="standard_d2s_v3",
        virtual_machine_configuration=batch.VirtualMachineConfiguration(
            image_reference=batch.BatchVmImageReference(virtual_machine_image_id=image_id),
            node_agent_sku_id=sku,
        ),
        target_dedicated_nodes=dedicated,
        target_low_priority_nodes=low,
        task_slots_per_node=SLOTS,
        start_task=batch.BatchStartTask(
            command_line=f"/bin/sh -c 'povray --version 2>&1 | grep -m 1 POV-Ray; ls {scene.DATA_DISK}/scene'",
            wait_for_success=True,
            max_task_retry_count=1,
        ),
    )


def create_pool(display: Display, client: BatchClient, prepared: Prepared, sku: str) -> None:
    """Step 5c: the pool; every node seen becoming idle."""
    with display.step(f"Create a pool of {DEDICATED} dedicated and {LOW_PRIORITY} low-priority nodes") as log:
        client.create_pool(pool_options(POOL, prepared.image_id, sku, DEDICATED, LOW_PRIORITY))
        seen: list[str] = []

        def all_idle() -> bool:
            states = Counter(
                str(node.state.value if hasattr(node.state, "value") else node.state)
                for node in client.list_nodes(POOL)
            )
            line = ", ".join(f"{count} {state}" for state, count in sorted(states.items())) or "no nodes yet"
            if not seen or seen[-1] != line:
                seen.append(line)
            log.say(line)
            return states.get("idle", 0) == DEDICATED + LOW_PRIORITY

        wait_until(all_idle, "all nodes idle")
        log.note(" > ".join(seen))
        pool = client.get_pool(POOL)
        log.expect(pool.current_dedicated_nodes == DEDICATED, "the pool does not count its dedicated nodes")
        log.expect(not pool.resize_errors, f"resize errors: {pool.resize_errors}")


def run_job(display: Display, client: BatchClient) -> None:
    """Step 6: an animation, one frame a task."""
    with display.step(f"Render {scene.FRAMES} frames, one task each") as log:
        client.create_job(batch.BatchJobCreateOptions(id=JOB, pool_info=batch.BatchPoolInfo(pool_id=POOL)))
        tasks = [
            batch.BatchTaskCreateOptions(id=f"frame-{frame:03d}", command_line=scene.render_command(frame))
            for frame in range(scene.FRAMES)
        ]
        client.create_tasks(JOB, tasks)

        def finished() -> bool:
            counts = client.get_job_task_counts(JOB).task_counts
            log.say(f"{counts.active} active, {counts.running} running, {counts.completed} completed")
            return bool(counts.completed == scene.FRAMES)

        wait_until(finished, "all frames rendered")
        counts = client.get_job_task_counts(JOB).task_counts
        if counts.failed:
            bad = next(task for task in client.list_tasks(JOB) if task.execution_info.result == "failure")
            log.expect(False, f"task {bad.id} failed: {bad.execution_info.failure_info.message}")
        nodes = Counter(task.node_info.node_id for task in client.list_tasks(JOB))
        shares = ", ".join(str(share) for share in nodes.values())
        log.note(f"{counts.succeeded} succeeded on {len(nodes)} nodes ({shares} tasks each)")


def download(display: Display, client: BatchClient, out: Path) -> Path:
    """Step 7: frames, stdout and stderr through the task-file API; a contact sheet."""
    with display.step("Download frames and logs, assemble a contact sheet") as log:
        frames = []
        for frame in range(scene.FRAMES):
            task = f"frame-{frame:03d}"
            path = out / "frames" / f"{task}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"".join(client.download_task_file(JOB, task, "wd/frame.png")))
            frames.append(path)
        for name in ("stdout.txt", "stderr.txt"):
            text = b"".join(client.download_task_file(JOB, "frame-000", name))
            (out / f"frame-000-{name}").write_bytes(text)
        log.expect((out / "frame-000-stderr.txt").stat().st_size > 0, "POV-Ray wrote nothing to stderr")
        names = sorted(entry.name for entry in client.list_task_files(JOB, "frame-000", recursive=True))
        log.note(f"files of one task: {', '.join(names)}")
        sheet = contact_sheet(frames, out / "contact-sheet.png", columns=10)
        log.note(f"contact sheet: {sheet}")
        return sheet


def _why(error: HttpResponseError) -> str:
    """The service's own reason: a named value of the data plane's error, or the management plane's message."""
    body = error.response.json() if error.response is not None else {}
    if "error" in body:
        return f"{body['error']['code']}: {body['error']['message']}"
    values = {pair["key"]: pair["value"] for pair in body.get("values", [])}
    reason = values.get("Reason") or values.get("AuthenticationErrorDetail") or body["message"]["value"]
    return f"{body['code']}: {reason}"


def _refused(log: StepLog, what: str, status: int, attempt: Callable[[], object]) -> None:
    try:
        attempt()
    except HttpResponseError as error:
        log.expect(
            error.status_code == status,
            f"{what}: expected {status}, got {error.status_code}: {error.message}",
        )
        log.note(f"{what}: {status} {_why(error)}")
        return
    log.expect(False, f"{what}: was accepted, expected {status}")


def _shared_limit(
    display: Display, service: Service, client: BatchClient, prepared: Prepared, sku: str
) -> None:
    """Limits count over every pool that shares the image or its snapshots; a low limit shows it with few nodes."""
    with display.step(
        f"Guard rails: restart with a limit of {LOW_LIMIT} nodes; the pool's nodes stay"
    ) as log:
        before = {node.id for node in client.list_nodes(POOL)}
        log.expect(service.stop() == 0, "the service did not end cleanly")
        service.start(service.port, "--image-limit-dedicated", str(LOW_LIMIT))
        wait_until(lambda: _idle(client, POOL) == DEDICATED + LOW_PRIORITY, "all nodes idle again")
        log.expect({node.id for node in client.list_nodes(POOL)} == before, "the nodes are not the same")
        client.create_pool(pool_options(TWIN_POOL, prepared.twin_id, sku, 0, 0))
        wait_until(lambda: client.get_pool(TWIN_POOL).allocation_state == "steady", "the twin pool steady")
        client.begin_resize_pool(TWIN_POOL, batch.BatchPoolResizeOptions(target_dedicated_nodes=LOW_LIMIT))
        wait_until(
            lambda: client.get_pool(TWIN_POOL).allocation_state == "steady", "the twin pool steady again"
        )
        twin = client.get_pool(TWIN_POOL)
        errors = twin.resize_errors or []
        log.expect(
            [error.code for error in errors] == ["AllocationFailed"],
            f"expected AllocationFailed, got {errors}",
        )
        log.expect(
            twin.current_dedicated_nodes == LOW_LIMIT - DEDICATED, f"{twin.current_dedicated_nodes} nodes"
        )
        log.note(f"a twin pool over the same snapshots: {errors[0].code}: {errors[0].message}")
        client.begin_delete_pool(TWIN_POOL, polling_interval=1).result()


def _idle(client: BatchClient, pool: str) -> int:
    return sum(1 for node in client.list_nodes(pool) if node.state == "idle")


def guard_rails(
    display: Display,
    service: Service,
    clients: Clients,
    client: BatchClient,
    by_key: BatchClient,
    prepared: Prepared,
    sku: str,
) -> None:
    """Step 8: what the service refuses, and growing again while the image exists."""
    with display.step("Guard rails: a custom image needs a token") as log:
        options = pool_options("by-key", prepared.image_id, sku, 1, 0)
        _refused(log, "pool from the image by shared key", 403, lambda: by_key.create_pool(options))
    with display.step("Guard rails: an image in use is protected") as log:
        _refused(
            log,
            "delete the image",
            409,
            lambda: clients.compute.images.begin_delete(GROUP, IMAGE, **POLL).result(),
        )
    with display.step("Guard rails: limits of custom images") as log:
        for kind, options in (
            ("2,501 dedicated nodes", batch.BatchPoolResizeOptions(target_dedicated_nodes=2501)),
            ("1,001 low-priority nodes", batch.BatchPoolResizeOptions(target_low_priority_nodes=1001)),
        ):
            _refused(log, kind, 400, lambda options=options: client.begin_resize_pool(POOL, options))
    _shared_limit(display, service, client, prepared, sku)
    with display.step("Grow the pool again while the image exists") as log:
        client.begin_resize_pool(
            POOL, batch.BatchPoolResizeOptions(target_dedicated_nodes=DEDICATED + 2), polling_interval=1
        ).result()
        pool = client.get_pool(POOL)
        log.expect(
            pool.current_dedicated_nodes == DEDICATED + 2, f"{pool.current_dedicated_nodes} dedicated nodes"
        )
        log.note(
            f"now {pool.current_dedicated_nodes} dedicated and {pool.current_low_priority_nodes} low-priority nodes"
        )


def discard(display: Display, clients: Clients, client: BatchClient) -> None:
    """Step 9a: the job, the pool and the account go."""
    with display.step("Delete the job, the pool and the account") as log:
        client.begin_delete_job(JOB, polling_interval=1).result()
        client.begin_delete_pool(POOL, polling_interval=1).result()
        log.expect(not list(client.list_pools()), "a pool is still listed")
        clients.accounts.batch_account.begin_delete(GROUP, ACCOUNT, **POLL).result()
