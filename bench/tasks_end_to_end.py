"""5,000 `/bin/true` tasks through the official SDK, end to end, against the bare floor in the same run."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from azure.batch import models as batch

from bench import floor, report
from bench.setting import Setting, running

DEADLINE_S = 300.0


def _pool(setting: Setting, nodes: int, slots: int) -> None:
    setting.batch.create_pool(
        batch.BatchPoolCreateOptions(
            id="workers",
            vm_size="standard_d4_v2",
            virtual_machine_configuration=batch.VirtualMachineConfiguration(
                image_reference=batch.BatchVmImageReference(virtual_machine_image_id=setting.image_id),
                node_agent_sku_id=setting.agent_sku,
            ),
            target_dedicated_nodes=nodes,
            task_slots_per_node=slots,
        )
    )
    deadline = time.perf_counter() + 60
    while sum(1 for node in setting.batch.list_nodes("workers") if node.state == "idle") < nodes:
        if time.perf_counter() > deadline:
            raise TimeoutError("the pool's nodes did not become idle in 60 s")
        time.sleep(0.1)


def _round(setting: Setting, number: int, count: int) -> tuple[float, float]:
    """Submit `count` tasks and see them all completed; returns (tasks/s end to end, tasks/s submitting)."""
    job = f"job-{number}"
    setting.batch.create_job(
        batch.BatchJobCreateOptions(id=job, pool_info=batch.BatchPoolInfo(pool_id="workers"))
    )
    tasks = [batch.BatchTaskCreateOptions(id=f"t{index}", command_line="/bin/true") for index in range(count)]
    began = time.perf_counter()
    setting.batch.create_tasks(job, tasks)
    submitted = time.perf_counter()
    while True:
        counts = setting.batch.get_job_task_counts(job).task_counts
        if counts.completed == count:
            break
        if time.perf_counter() - began > DEADLINE_S:
            raise TimeoutError(f"after {DEADLINE_S:.0f} s: {counts}")
        time.sleep(0.05)
    ended = time.perf_counter()
    if counts.failed:
        raise RuntimeError(f"{counts.failed} of {count} tasks failed")
    setting.batch.begin_delete_job(job, polling_interval=1).result()
    return count / (ended - began), count / (submitted - began)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--tasks", type=int, default=5000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--nodes", type=int, default=4)
    parser.add_argument("--slots", type=int, default=16)
    parser.add_argument(
        "--scratch", type=Path, help="parent of the data directory and the floor's directories"
    )
    options = parser.parse_args()
    report.heading(f"{options.tasks} /bin/true tasks, {options.nodes} nodes of {options.slots} slots")
    rates, submits, floors, ratios = [], [], [], []
    with running(options.scratch) as setting:
        _pool(setting, options.nodes, options.slots)
        _round(setting, 0, 500)  # warm-up, not counted
        for number in range(1, options.rounds + 1):
            before = floor.tasks_per_second(setting.data_dir, options.tasks)
            rate, submit = _round(setting, number, options.tasks)
            after = floor.tasks_per_second(setting.data_dir, options.tasks)
            rates.append(rate)
            submits.append(submit)
            floors.append((before + after) / 2)
            ratios.append(rate / floors[-1])
    report.row("floor: posix_spawn loop, two workers", floors, "tasks/s")
    report.row("end to end through the SDK", rates, "tasks/s")
    report.row("ratio to the floor (promised: 0.25)", ratios, "")
    report.row("of that, submission", submits, "tasks/s")


if __name__ == "__main__":
    main()
