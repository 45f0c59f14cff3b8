"""Multi-instance tasks on real nodes that talk to one another."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
from azure.batch import models as batch

from tests.e2e.service.live import Live
from tests.e2e.service.test_storage import mount
from tests.support.kept import unpacked
from tests.support.waiting import wait_until

#: Where nodes see the programs, and how each of them is started from there.
MPI = "/mnt/batch/tasks/fsmounts/mpi"
RECIPE = 1
WRAPPER = f"""#!/bin/sh
root={MPI}/rootfs
lib=$(echo $root/usr/lib/*-linux-gnu)
export LD_LIBRARY_PATH=$lib:$lib/openmpi/lib:$(echo $root/lib/*-linux-gnu) PYTHONHOME=$root/usr
export OPAL_PREFIX=$lib/openmpi OMPI_MCA_mca_base_component_path=$lib/openmpi/lib/openmpi3
export OMPI_MCA_mca_base_component_show_load_errors=0 OMPI_MCA_pml=ob1 OMPI_MCA_btl=self,tcp
options=
[ ${{0##*/}} = ssh ] && options="-F none -oStrictHostKeyChecking=no -oUserKnownHostsFile=/dev/null -oBatchMode=yes"
exec $root/usr/bin/${{0##*/}} $options "$@"
"""
#: Every rank tells the sum over all ranks, and from whom it got a message around the ring.
RING = (
    "from mpi4py import MPI; c = MPI.COMM_WORLD; n = c.size; total = c.allreduce(c.rank + 1);"
    " came = c.sendrecv(c.rank, dest=(c.rank + 1) % n, source=(c.rank - 1) % n);"
    ' print("rank", c.rank, MPI.Get_processor_name(), total, came)'
)

SERVE = (
    "mkdir -p $AZ_BATCH_TASK_SHARED_DIR && echo $AZ_BATCH_IS_CURRENT_NODE_MASTER"
    " >$AZ_BATCH_TASK_SHARED_DIR/role; sleep 3600 & echo $! >$AZ_BATCH_NODE_SHARED_DIR/left"
)


def settings(command: str, instances: int = 3, **more: Any) -> batch.MultiInstanceSettings:
    """So many instances, each of which runs this shell script first."""
    line = "/bin/sh -c '" + command.replace("'", "'\\''") + "'"
    return batch.MultiInstanceSettings(coordination_command_line=line, number_of_instances=instances, **more)


@pytest.mark.one_service
def test_a_gang_of_three(live: Live) -> None:
    live.idle_pool(dedicated=3, slots=1, enable_inter_node_communication=True)
    live.job()
    live.task("gang", "env; cat $AZ_BATCH_TASK_SHARED_DIR/role", multi_instance_settings=settings(SERVE))
    done = live.wait_task("gang", "completed")
    assert done["executionInfo"]["exitCode"] == 0, done
    said = live.output("gang").splitlines()
    given = dict(line.split("=", 1) for line in said if "=" in line)
    addresses = {str(node["ipAddress"]): str(node["id"]) for node in live.batch.list_nodes("pool")}
    hosts = given["AZ_BATCH_HOST_LIST"].split(",")
    assert set(hosts) == set(addresses)
    assert addresses[hosts[0]] == done["nodeInfo"]["nodeId"]
    assert said[-1] == "true"
    assert given["CCP_NODES"] == "3 " + " ".join(f"{host} 2" for host in hosts)
    wait_until(
        lambda: _subtasks(live) == [(1, "completed", 0), (2, "completed", 0)], 60, lambda: _subtasks(live)
    )
    live.task("next", "true")
    live.wait_task("next", "completed")
    live.wait_nodes("pool", {"idle": 3})


def test_open_mpi_across_three_nodes(live: Live, tmp_path: Path) -> None:
    programs = open_mpi()
    live.start_again("--export", f"mpi={programs}")
    key = tmp_path / "travel"
    subprocess.run(["ssh-keygen", "-q", "-t", "rsa", "-b", "2048", "-N", "", "-f", str(key)], check=True)
    linux = batch.LinuxUserConfiguration(ssh_private_key=key.read_text())
    live.idle_pool(
        dedicated=3,
        slots=1,
        enable_inter_node_communication=True,
        user_accounts=[
            batch.UserAccount(name="rank", password="a Password 1", linux_user_configuration=linux)
        ],
        mount_configuration=[mount("poolwright:mpi", "mpi")],
    )
    live.job()
    live.task(
        "ring",
        f"{MPI}/orterun --mca plm_rsh_agent {MPI}/ssh --mca orte_launch_agent {MPI}/orted"
        f" --host $AZ_BATCH_HOST_LIST -np 3 {MPI}/python3 $AZ_BATCH_TASK_SHARED_DIR/ring.py",
        user_identity=batch.UserIdentity(username="rank"),
        multi_instance_settings=settings(
            f"echo '{RING}' >$AZ_BATCH_TASK_SHARED_DIR/ring.py;"
            f" for host in $(echo $AZ_BATCH_HOST_LIST | tr , ' '); do"
            f" for try in 1 2 3 4 5 6 7 8 9 10; do {MPI}/ssh $host true && continue 2; sleep 1; done; exit 1; done"
        ),
    )
    done = live.wait_task("ring", "completed", deadline_s=120)
    said = f"{done}\n{live.output('ring')}\n{live.output('ring', name='stderr.txt')}"
    assert done["executionInfo"]["exitCode"] == 0, said
    lines = [line.split() for line in live.output("ring").splitlines() if line.startswith("rank ")]
    assert sorted((words[1], words[3], words[4]) for words in lines) == [
        (str(rank), "6", str((rank - 1) % 3)) for rank in range(3)
    ], said
    assert len({words[2] for words in lines}) == 3, "every rank ran on a node of its own"


def open_mpi() -> Path:
    """Open MPI, mpi4py and an SSH client, with scripts that find them in nodes."""

    def wrapped(work: Path) -> None:
        for name in ("orterun", "orted", "ssh", "python3"):
            script = work / name
            script.write_text(WRAPPER)
            script.chmod(0o755)

    return unpacked(f"open-mpi-{RECIPE}", ("openmpi-bin", "python3-mpi4py", "openssh-client"), wrapped)


def _subtasks(live: Live) -> list[tuple[Any, ...]]:
    return [(row["id"], row["state"], row.get("exitCode")) for row in live.batch.list_subtasks("job", "gang")]
