"""Pool of 100 nodes from an image: seconds from the create call to all idle, bytes and memory a node."""

from __future__ import annotations

import argparse
import os
import subprocess
import time
from pathlib import Path

from azure.batch import models as batch

from bench import report
from bench.setting import Setting, running


def _used_bytes(path: Path) -> int:
    return int(
        subprocess.run(
            ["du", "-s", "--block-size=1", str(path)], capture_output=True, text=True, check=False
        ).stdout.split()[0]
    )


def _memory_mib(data_dir: Path) -> float:
    """Proportional memory of the host agent and of its children, the first processes of the nodes."""
    agent = int((data_dir / "run" / "agent.pid").read_text().split()[0])
    total = 0.0
    for process in Path("/proc").glob("[0-9]*"):
        try:
            parent = int(process.joinpath("stat").read_text().rpartition(")")[2].split()[1])
            if agent not in (parent, int(process.name)):
                continue
            rollup = process.joinpath("smaps_rollup").read_text()
        except OSError:
            continue  # it has ended meanwhile
        total += next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:")) / 1024
    return total


def _one(setting: Setting, count: int, number: int) -> tuple[float, float, float]:
    nodes = setting.data_dir / "nodes"
    bytes_before = _used_bytes(nodes) if nodes.exists() else 0
    memory_before = _memory_mib(setting.data_dir)
    pool_id = f"hundred-{number}"
    began = time.perf_counter()
    setting.batch.create_pool(
        batch.BatchPoolCreateOptions(
            id=pool_id,
            vm_size="standard_a1_v2",
            virtual_machine_configuration=batch.VirtualMachineConfiguration(
                image_reference=batch.BatchVmImageReference(virtual_machine_image_id=setting.image_id),
                node_agent_sku_id=setting.agent_sku,
            ),
            target_dedicated_nodes=count,
        )
    )
    deadline = began + 300
    while True:
        counts = next(iter(setting.batch.list_pool_node_counts(filter=f"poolId eq '{pool_id}'"))).dedicated
        if counts is not None and counts.idle == count:
            break
        if time.perf_counter() > deadline:
            raise TimeoutError(f"not all idle after 300 s: {counts}")
        time.sleep(0.02)
    seconds = time.perf_counter() - began
    per_node_bytes = (_used_bytes(nodes) - bytes_before) / count
    per_node_mib = (_memory_mib(setting.data_dir) - memory_before) / count
    setting.batch.begin_delete_pool(pool_id, polling_interval=1).result()
    return seconds, per_node_bytes, per_node_mib


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--nodes", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    report.heading(f"pool of {options.nodes} nodes from one image")
    with running() as setting:
        rows = [_one(setting, options.nodes, number) for number in range(options.rounds)]
        image_bytes = max(
            path.stat().st_blocks * 512 for path in (setting.data_dir / "images").rglob("*.raw")
        )
    report.row("create call to all idle", [row[0] for row in rows], "s (promised: 10)")
    report.row(
        "disk a node (image: %.0f MB, shared)" % (image_bytes / 1e6), [row[1] / 1024 for row in rows], "KiB"
    )
    report.row("memory a node (proportional set size)", [row[2] for row in rows], "MiB")
    print(f"load average: {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
