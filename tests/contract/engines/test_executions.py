"""Executions in real machines: what a task sees, how it ends, what is left."""

# ruff: noqa: ASYNC240 - nothing else runs in a test that could be held up

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from poolwright.domain.pool import UserAccount
from poolwright.engines.base import Machine, NotFound
from poolwright.engines.hub import PathNotAllowed
from tests.contract.engines.rig import Rig, node

pytestmark = pytest.mark.needs_root

C_LIBRARY_SIGNALS = 0b11 << 31  # 32 and 33: no program can set them, so they stay as inherited
SH = "/bin/sh -c '{}'"


@pytest.fixture
async def machine(rig: Rig, image: Path) -> Machine:
    """One node with its data disk."""
    (made,) = await rig.engine.create([node("n1", image, accounts=(UserAccount("builder"),))])
    assert isinstance(made, Machine), made
    return made


async def test_a_task_sees_its_environment_user_and_directory(rig: Rig, machine: Machine) -> None:
    command = "sh -c 'id -u; id -g; pwd; echo $AZ_BATCH_TASK_ID $HOME $USER; cat; echo oops >&2'"
    end = await rig.run("n1", "e1", command, env={"AZ_BATCH_TASK_ID": "task 1"})
    assert (end["state"], end["exit_code"], end["reason"]) == ("exited", 0, "exit")
    assert end["end_us"] >= end["start_us"] > 0
    lines = (await rig.text("n1", "workitems/j/job-1/e1/stdout.txt")).splitlines()
    wd = "/mnt/batch/tasks/workitems/j/job-1/e1/wd"
    assert lines == ["1500", "1500", wd, "task 1 /home/_azbatch _azbatch"]
    assert await rig.text("n1", "workitems/j/job-1/e1/stderr.txt") == "oops\n"


async def test_nothing_of_root_is_left_in_a_task(rig: Rig, machine: Machine) -> None:
    await rig.run(
        "n1", "e1", "sh -c 'cat /proc/self/status; ls -l /proc/self/fd; cat /proc/1/environ; chown 0 .'"
    )
    text = await rig.text("n1", "workitems/j/job-1/e1/stdout.txt")
    assert "Uid:\t1500\t1500\t1500\t1500" in text
    assert "Gid:\t1500\t1500\t1500\t1500" in text
    for name in ("CapPrm", "CapEff", "CapInh", "CapAmb"):
        assert f"{name}:\t0000000000000000" in text
    ignored = int(text.partition("SigIgn:\t")[2].split()[0], 16)
    assert ignored & ~C_LIBRARY_SIGNALS == 0
    assert "SigBlk:\t0000000000000000" in text
    descriptors = {line.split()[-3] for line in text.splitlines() if " -> " in line}
    assert descriptors == {"0", "1", "2", "3"}  # 3 is ls reading the directory
    errors = await rig.text("n1", "workitems/j/job-1/e1/stderr.txt")
    assert "/proc/1/environ: Permission denied" in errors
    assert "Operation not permitted" in errors


async def test_an_account_of_a_task_is_that_of_its_whole_gang_on_the_node(rig: Rig, machine: Machine) -> None:
    task = {"user": {"scope": "task", "elevation": "nonadmin", "name": None}, "dir": "workitems/j/job-1/g"}
    begin = "sh -c 'umask 077; id -u; echo common > ../common'"
    rig.hub.send_start([rig.spec("n1", "g1", begin, linger=True, **task)])
    await rig.until(
        lambda: any("ready_us" in item for item in rig.exec_states("g1")), "the first command's success"
    )
    first = (await rig.text("n1", "workitems/j/job-1/g/stdout.txt")).strip()
    end = await rig.run("n1", "t1", "sh -c 'id -u; cat ../common'", fresh=False, **task)
    assert end["exit_code"] == 0, end
    said = (await rig.text("n1", "workitems/j/job-1/g/stdout.txt")).split()
    assert said == [first, "common"]
    other = {**task, "dir": "workitems/j/job-1/other"}
    await rig.run("n1", "t2", "id -u", **other)
    second = (await rig.text("n1", "workitems/j/job-1/other/stdout.txt")).strip()
    assert second not in (first, "1500"), "the account is still taken by what lingers"


async def test_users_of_all_kinds(rig: Rig, machine: Machine) -> None:
    show = "sh -c 'id -u; id -G; touch made; stat -c %u:%a . made'"
    expected = {
        "admin": ({"scope": "pool", "elevation": "admin"}, ["0", "0", "0:770", "0:644"]),
        "pool": ({"scope": "pool", "elevation": "nonadmin"}, ["1500", "1500", "1500:770", "1500:644"]),
        "task": ({"scope": "task", "elevation": "nonadmin"}, ["2000", "2000", "2000:770", "2000:644"]),
        "other": ({"scope": "task", "elevation": "nonadmin"}, ["2001", "2001", "2001:770", "2001:644"]),
        "named": ({"name": "builder"}, ["1234", "1234 4321", "1234:770", "1234:644"]),
    }
    for exec_id, (user, lines) in expected.items():
        end = await rig.run("n1", exec_id, show, user=user)
        assert end["exit_code"] == 0, end
        assert (await rig.text("n1", f"workitems/j/job-1/{exec_id}/stdout.txt")).splitlines() == lines
    end = await rig.run("n1", "nobody", show, user={"name": "no-such-user"})
    assert (end["state"], end["code"]) == ("failed", "CommandLaunchFailed")
    assert "no-such-user" in end["message"]


async def test_container_root_is_bounded(rig: Rig, machine: Machine) -> None:
    admin = {"scope": "pool", "elevation": "admin"}
    command = (
        "sh -c 'mount -t tmpfs none /tmp && echo mounted; hostname other && echo renamed;"
        " echo 1 > /proc/sys/kernel/panic && echo panic; cat /proc/self/uid_map; chown 1500 /tmp && echo owned'"
    )
    await rig.run("n1", "e1", command, user=admin)
    lines = (await rig.text("n1", "workitems/j/job-1/e1/stdout.txt")).splitlines()
    assert [line.split() for line in lines] == [["0", "100000", "65536"], ["owned"]]


async def test_what_a_task_used_comes_with_its_end(rig: Rig, machine: Machine) -> None:
    spin = "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done"
    orphan = "(dd if=/dev/zero of=g bs=1M count=4 conv=fsync &) ; sleep 0.1"
    # Where the kernel counts by its ticks, only what takes many of them is sure to show.
    calls = "dd if=/dev/zero of=/dev/null bs=1 count=300000"
    copy = "dd if=/dev/zero of=f bs=1M count=4 conv=fsync"
    work = f"{copy}; {orphan}; while [ ! -s g ]; do sleep 0.01; done; {spin}; {calls}"
    end = await rig.run("n1", "e1", f"sh -c '{work}'")
    assert end["exit_code"] == 0, end
    user, kernel, reads, writes, _, written = end["usage"]
    assert user > 20_000
    assert kernel > 0
    assert reads >= 8
    assert writes >= 8
    assert written >= 8 << 20, "what its orphans wrote is the task's too"
    idle = await rig.run("n1", "e2", "/bin/true")
    assert idle["usage"][5] < 1 << 20, "what another task used is not this one's"


@pytest.mark.parametrize(
    ("command", "code", "signal"),
    [
        ("true", 0, None),
        ("false", 1, None),
        (SH.format("exit 77"), 77, None),
        (SH.format("kill -9 $$"), 137, 9),
        (SH.format("kill -15 $$"), 143, 15),
    ],
)
async def test_exit_codes(rig: Rig, machine: Machine, command: str, code: int, signal: int | None) -> None:
    end = await rig.run("n1", "e1", command)
    assert (end["state"], end["exit_code"], end["signal"], end["reason"]) == ("exited", code, signal, "exit")


@pytest.mark.parametrize(
    ("command", "code", "word"),
    [
        ("no-such-program --x", "CommandProgramNotFound", "no-such-program"),
        ("/bin/no-such-program", "CommandProgramNotFound", "/bin/no-such-program"),
        ("/etc/passwd", "CommandLaunchFailed", "Permission denied"),
        ("sh -c 'unclosed", "CommandLaunchFailed", "quotation"),
        ("", "CommandLaunchFailed", "empty"),
        ("true a\0b", "CommandLaunchFailed", "null"),
    ],
)
async def test_what_cannot_be_started_says_why(
    rig: Rig, machine: Machine, command: str, code: str, word: str
) -> None:
    end = await rig.run("n1", "e1", command)
    assert (end["state"], end["code"]) == ("failed", code), end
    assert word in end["message"]


async def test_words_are_split_as_by_a_shell_but_nothing_expands(rig: Rig, machine: Machine) -> None:
    await rig.run("n1", "e1", r"""echo 'a  b' "c $HOME" d\ e * ;""")
    assert await rig.text("n1", "workitems/j/job-1/e1/stdout.txt") == "a  b c $HOME d e * ;\n"


async def test_wall_clock_ends_the_whole_tree(rig: Rig, machine: Machine) -> None:
    command = SH.format("sleep 300 & setsid sleep 300 & sleep 300")
    end = await rig.run("n1", "e1", command, wall_clock_s=0.3)
    assert (end["reason"], end["signal"]) == ("wallclock", 15)
    assert await _processes(rig) == 0


async def test_kill_asks_then_forces(rig: Rig, machine: Machine) -> None:
    stubborn = SH.format('trap "echo asked" TERM; echo ready; while true; do sleep 0.05; done')
    rig.hub.send_start([rig.spec("n1", "e1", stubborn)])
    await _shows(rig, "e1", "ready")
    rig.hub.send_kill([{"machine": "n1", "exec": "e1", "reason": "terminate", "grace_s": 0.3}])
    end = await rig.ended("e1")
    assert (end["reason"], end["signal"], end["exit_code"]) == ("killed:terminate", 9, 137)
    assert "asked" in await rig.text("n1", "workitems/j/job-1/e1/stdout.txt")
    rig.hub.send_kill([{"machine": "n1", "exec": "unknown", "reason": "x", "grace_s": 1}])
    assert (await rig.ended("unknown"))["reason"] == "lost"


async def test_a_repeated_kill_does_not_ask_again(rig: Rig, machine: Machine) -> None:
    stubborn = SH.format('trap "echo asked" TERM; echo ready; while true; do sleep 0.05; done')
    rig.hub.send_start([rig.spec("n1", "e1", stubborn)])
    await _shows(rig, "e1", "ready")
    order = {"machine": "n1", "exec": "e1", "reason": "terminate", "grace_s": 60}
    rig.hub.send_kill([order])
    await _shows(rig, "e1", "asked")
    rig.hub.send_kill([order])
    rig.hub.send_kill([{**order, "grace_s": 0.5}])  # sooner than it was told
    rig.hub.send_kill([order])
    assert (await rig.ended("e1"))["signal"] == 9
    assert (await rig.text("n1", "workitems/j/job-1/e1/stdout.txt")).count("asked") == 1


@pytest.mark.parametrize(
    "hide",
    [
        "setsid sleep 300",
        'setsid sh -c "setsid sleep 300 & exit 0"',
        'env -i setsid sh -c "setsid sleep 300 & exit 0"',
    ],
)
async def test_daemons_end_with_their_task(rig: Rig, machine: Machine, hide: str) -> None:
    end = await rig.run("n1", "e1", SH.format(f"{hide} & sleep 0.1"))
    assert (end["exit_code"], end["reason"]) == (0, "exit")
    assert await _processes(rig) == 0


async def test_a_daemon_ends_while_other_tasks_go_on(rig: Rig, machine: Machine) -> None:
    rig.hub.send_start([rig.spec("n1", "other", SH.format("setsid sleep 200 & wait"))])
    await rig.running("other")
    await rig.run("n1", "e1", SH.format("setsid setsid sleep 300 & sleep 0.1"))
    assert await _processes(rig) == 2  # the shell of the other one and its sleep
    rig.hub.send_kill([{"machine": "n1", "exec": "other", "reason": "x", "grace_s": 5}])
    assert (await rig.ended("other"))["reason"] == "killed:x"
    assert await _processes(rig) == 0


async def test_duplicates_run_once_and_stale_fences_never(rig: Rig, machine: Machine) -> None:
    spec = rig.spec("n1", "e1", SH.format("echo run; sleep 0.2"))
    rig.hub.send_start([spec, spec])
    rig.hub.send_start([spec])
    await rig.ended("e1")
    rig.hub.send_start([spec])
    await rig.until(lambda: sum(i["state"] == "exited" for i in rig.exec_states("e1")) >= 2, "second report")
    assert await rig.text("n1", "workitems/j/job-1/e1/stdout.txt") == "run\n"
    rig.hub.ack(["e1"])
    rig.hub.send_start([rig.spec("n1", "e2", "true", fence=0), rig.spec("gone", "e3", "true")])
    assert (await rig.ended("e2"))["code"] == "StaleFence"
    assert (await rig.ended("e3"))["code"] == "StaleFence"


async def test_a_new_attempt_starts_in_an_empty_directory(rig: Rig, machine: Machine) -> None:
    where = "workitems/j/job-1/same"
    await rig.run("n1", "e1", SH.format("mkdir -p deep/er; touch deep/er/file; echo first"), dir=where)
    await rig.run("n1", "e2", SH.format("ls; echo second"), dir=where, fresh=True)
    assert await rig.text("n1", where + "/stdout.txt") == "second\n"
    await rig.run("n1", "e3", SH.format("touch kept"), dir=where, fresh=False)
    await rig.run("n1", "e4", "ls", dir=where, fresh=False)
    assert await rig.text("n1", where + "/stdout.txt") == "kept\n"
    trash = rig.data_dir / "nodes/n1/temp/.trash"
    await rig.until(lambda: not list(trash.iterdir()), "removal of the replaced directory")


@pytest.mark.parametrize("where", ["../escape", "/etc", "a/../../b", "", "a//b", "./a"])
async def test_task_directories_stay_below_the_root(rig: Rig, machine: Machine, where: str) -> None:
    end = await rig.run("n1", "e1", "true", dir=where)
    assert (end["state"], end["code"]) == ("failed", "CommandLaunchFailed")


async def test_many_outputs_are_read_back_in_pieces(rig: Rig, machine: Machine) -> None:
    await rig.run("n1", "e1", SH.format("head -c 5000000 /dev/zero"))
    stat = await rig.hub.call("files.stat", {"machine": "n1", "path": "workitems/j/job-1/e1/stdout.txt"}, 10)
    assert (stat["size"], stat["is_dir"], stat["mode"]) == (5_000_000, False, 0o640)
    chunks = [chunk async for chunk in rig.hub.read_file("n1", "workitems/j/job-1/e1/stdout.txt")]
    assert b"".join(chunks) == bytes(5_000_000)
    assert max(map(len, chunks)) <= 1024 * 1024
    part = [
        chunk async for chunk in rig.hub.read_file("n1", "workitems/j/job-1/e1/stdout.txt", 4_999_990, 100)
    ]
    assert b"".join(part) == bytes(10)


async def test_files_cannot_lead_out(rig: Rig, machine: Machine) -> None:
    command = (
        "ln -s /etc/passwd absolute; ln -s ../../../../../../../etc/passwd up; ln -s /proc/self/root root;"
        " ln -s . loop; mkfifo fifo; touch plain; ln -s plain good"
    )
    await rig.run("n1", "e1", SH.format(command))
    wd = "workitems/j/job-1/e1/wd"
    for path in (
        f"{wd}/absolute",
        f"{wd}/up",
        f"{wd}/root/etc/passwd",
        "../../upper",
        f"{wd}/../../../../../..",
    ):
        with pytest.raises(PathNotAllowed):
            await rig.text("n1", path)
    with pytest.raises(PathNotAllowed, match="regular"):
        await rig.text("n1", f"{wd}/fifo")
    with pytest.raises(NotFound):
        await rig.text("n1", f"{wd}/missing")
    assert await rig.text("n1", f"{wd}/good") == ""
    listed = await rig.hub.call("files.list", {"machine": "n1", "dir": wd, "recursive": True}, 10)
    names = [file["name"] for file in listed["files"]]
    assert names == ["absolute", "fifo", "good", "loop", "plain", "root", "up"]


async def test_files_are_listed_and_deleted(rig: Rig, machine: Machine) -> None:
    await rig.run("n1", "e1", SH.format("mkdir -p a/b; touch a/b/c a/d; echo x > ../shared-no"))
    base = "workitems/j/job-1/e1"
    listed = await rig.hub.call("files.list", {"machine": "n1", "dir": base, "recursive": True}, 10)
    names = [(file["name"], file["is_dir"]) for file in listed["files"]]
    assert ("wd/a/b/c", False) in names
    assert ("wd/a", True) in names
    top = await rig.hub.call("files.list", {"machine": "n1", "dir": "", "recursive": False}, 10)
    assert [file["name"] for file in top["files"]] == [
        "applications", "fsmounts", "shared", "startup", "volatile", "workitems",
    ]  # fmt: skip
    prefixed = await rig.hub.call(
        "files.list", {"machine": "n1", "dir": base, "recursive": True, "prefix": "wd/a/b"}, 10
    )
    assert [file["name"] for file in prefixed["files"]] == ["wd/a/b", "wd/a/b/c"]
    with pytest.raises(PathNotAllowed):
        await rig.hub.call("files.delete", {"machine": "n1", "path": f"{base}/wd", "recursive": False}, 10)
    await rig.hub.call("files.delete", {"machine": "n1", "path": f"{base}/wd", "recursive": True}, 10)
    await rig.hub.call("files.delete", {"machine": "n1", "path": f"{base}/stdout.txt"}, 10)
    with pytest.raises(NotFound):
        await rig.hub.call("files.stat", {"machine": "n1", "path": f"{base}/wd"}, 10)


async def test_a_full_process_table_hurts_only_its_machine(rig: Rig, image: Path) -> None:
    (made,) = await rig.engine.create([node("small", image, pids=30)])
    assert isinstance(made, Machine)
    if "pids" not in made.limits:
        pytest.skip(f"no limit of processes here: {made.notes}")
    bomb = SH.format("i=0; while [ $i -lt 60 ]; do sleep 100 & i=$((i+1)); done; wait")
    rig.hub.send_start([rig.spec("small", "e1", bomb)])
    await asyncio.wait_for(rig.ended("e1"), 20)
    assert "fork" in (await rig.text("small", "workitems/j/job-1/e1/stderr.txt")).lower()
    assert (await rig.run("small", "e2", "true"))["exit_code"] == 0


async def _processes(rig: Rig) -> int:
    """Processes in the machine besides its first one, counted by the host."""
    (first,) = rig.node_pids()
    namespace = Path(f"/proc/{first}/ns/pid").readlink()
    count = -1
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                zombie = (entry / "stat").read_text().rpartition(")")[2].split()[0] == "Z"
                count += (entry / "ns/pid").readlink() == namespace and not zombie
            except OSError:
                continue
    return count


async def _shows(rig: Rig, exec_id: str, word: str) -> None:
    path = rig.data_dir / f"nodes/n1/temp/workitems/j/job-1/{exec_id}/stdout.txt"
    await rig.until(lambda: path.exists() and word in path.read_text(), f"{word!r} in the output")
