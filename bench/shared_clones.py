"""Two hundred nodes on one image: one copy of it on the disk, and one in the page cache when all of them read it.

Every node reads the same file of the image to its end. If nodes had copies of their own, the page cache would grow by
that file once a node. It grows by what the first node reads (a file on a loop device is kept twice, as pages of the
file system and of the disk file below it), and then by what else happens on the host meanwhile.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

from azure.batch import models as batch

from bench import report
from bench.setting import Setting, running

PLACE = "/srv/reference"
_DEADLINE_S = 600
_MIB = 1024**2


def _cached_mib() -> float:
    lines = Path("/proc/meminfo").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Cached:")) / 1024


def _allocated(folder: Path) -> int:
    """Bytes that the files below a folder occupy, each once."""
    seen = {}
    for path in folder.rglob("*"):
        status = path.lstat()
        seen[status.st_ino] = status.st_blocks * 512
    return sum(seen.values())


def _wait(what: str, done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _DEADLINE_S
    while not done():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not after {_DEADLINE_S} s")
        time.sleep(0.2)


def _read_on(setting: Setting, pool: str, job: str, nodes: int) -> int:
    """Have `nodes` nodes read the file, one task each; returns on how many it really was read."""
    setting.batch.create_job(batch.BatchJobCreateOptions(id=job, pool_info=batch.BatchPoolInfo(pool_id=pool)))
    # Each holds its node until all have begun, so that no node gets two.
    line = f"/bin/sh -c 'cat {PLACE} > /dev/null && sleep {min(20, nodes // 10)}'"
    tasks = [batch.BatchTaskCreateOptions(id=f"t{n}", command_line=line) for n in range(nodes)]
    setting.batch.create_tasks(job, tasks)
    counts = setting.batch.get_job_task_counts
    _wait("all tasks completed", lambda: counts(job).task_counts.completed == nodes)
    if counts(job).task_counts.failed:
        raise RuntimeError("a task that read the file failed")
    return len({task.node_info.node_id for task in setting.batch.list_tasks(job) if task.node_info})


def _one(setting: Setting, count: int, number: int) -> tuple[float, ...]:
    images, nodes = setting.data_dir / "images", setting.data_dir / "nodes"
    images_before = _allocated(images)
    pool = f"clones-{number}"
    setting.batch.create_pool(
        batch.BatchPoolCreateOptions(
            id=pool,
            vm_size="standard_a1_v2",
            virtual_machine_configuration=batch.VirtualMachineConfiguration(
                image_reference=batch.BatchVmImageReference(virtual_machine_image_id=setting.image_id),
                node_agent_sku_id=setting.agent_sku,
            ),
            target_dedicated_nodes=count,
        )
    )

    def all_idle() -> bool:
        found = next(iter(setting.batch.list_pool_node_counts(filter=f"poolId eq '{pool}'"))).dedicated
        return found is not None and found.idle == count

    _wait(f"{count} nodes idle", all_idle)
    before = _cached_mib()
    _read_on(setting, pool, f"first-{number}", 1)
    first = _cached_mib()
    reached = _read_on(setting, pool, f"all-{number}", count)
    everyone = _cached_mib()
    per_node = _allocated(nodes) / count / 1024 if nodes.exists() else 0.0
    grown = (_allocated(images) - images_before) / _MIB
    setting.batch.begin_delete_pool(pool, polling_interval=1).result()
    return first - before, everyone - first, float(reached), grown, per_node


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--nodes", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--mib", type=int, default=128, help="size of the file that every node reads")
    options = parser.parse_args()
    report.heading(f"{options.nodes} nodes on one image, each reads the same {options.mib} MiB of it")
    script = [f"head -c {options.mib * _MIB} /dev/urandom > {PLACE}", "sync"]
    with running(script=script) as setting:
        rows = [_one(setting, options.nodes, number) for number in range(options.rounds)]
    first, everyone, reached, grown, per_node = zip(*rows, strict=True)
    report.row("page cache grown by the first node's reading", first, "MiB")
    report.row(f"... by the reading of all {options.nodes}", everyone, "MiB")
    print(f"{'(with a copy a node it would be)':<46} {options.mib * options.nodes:>10} MiB")
    report.row("nodes that read it", reached, "nodes")
    report.row("disk: images grown by the pool", grown, "MiB")
    report.row("disk: of its own a node", per_node, "KiB")


if __name__ == "__main__":
    main()
