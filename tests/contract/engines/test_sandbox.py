"""Sandbox machines on the real kernel: isolation, shared images, disks, limits, network, build machines."""

# ruff: noqa: ASYNC221, ASYNC240 - nothing else runs in a test that could be held up

from __future__ import annotations

import asyncio
import base64
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import poolwright
from poolwright.domain.limits import ACCOUNT_KEYS_MAX, CERTIFICATE_BYTES_MAX, CERTIFICATE_REFERENCES_MAX
from poolwright.domain.pool import UserAccount
from poolwright.engines.base import (
    DiskMount,
    Machine,
    MachineCertificate,
    MachineRequest,
    NotFound,
    Rejected,
    Transient,
)
from poolwright.engines.sandbox.host import loopdev
from tests.contract.engines.rig import Rig, make_disk, node

pytestmark = pytest.mark.needs_root

ADMIN = {"scope": "pool", "elevation": "admin"}


async def made(rig: Rig, *requests: MachineRequest) -> list[Machine]:
    """Make machines that must come up."""
    outcomes = await rig.engine.create(requests)
    machines = [outcome for outcome in outcomes if isinstance(outcome, Machine)]
    assert len(machines) == len(outcomes), outcomes
    return machines


async def out(rig: Rig, machine: str, exec_id: str, command: str, **more: object) -> str:
    """Standard output of a command that must succeed."""
    end = await rig.run(machine, exec_id, f"sh -c '{command}'", **more)
    base = f"workitems/j/job-1/{exec_id}"
    assert end.get("exit_code") == 0, (end, await rig.text(machine, base + "/stderr.txt"))
    return await rig.text(machine, base + "/stdout.txt")


def reaches(prefix: list[str], address: str) -> bool:
    """Does a datagram to a closed port come back as refused: is the host there?"""
    program = (
        "import socket,sys; s=socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(2)\n"
        "s.connect((sys.argv[1], 9)); s.send(b'x')\n"
        "try: s.recv(1)\n"
        "except ConnectionRefusedError: print('refused')\n"
        "except OSError as e: print(e)\n"
    )
    command = [*prefix, sys.executable, "-I", "-S", "-c", program, address]
    return "refused" in subprocess.run(command, capture_output=True, text=True, check=False).stdout


def vm(name: str, disk: Path, *data: DiskMount) -> MachineRequest:
    return MachineRequest(name, "vm", 1, name, str(disk), data, cores=1.0, memory_mib=256, pids=200)


async def test_machines_share_an_image_but_not_their_writes(rig: Rig, image: Path) -> None:
    before = image.read_bytes()
    await made(rig, node("a", image), node("b", image))
    assert len(loopdev.users_of(str(image))) == 1
    await out(rig, "a", "e1", "echo a > /mine; rm /etc/os-release; echo x >> /bin/false", user=ADMIN)
    assert "ID=test" in await out(rig, "b", "e2", "cat /etc/os-release; ls /")
    assert "mine" not in await rig.text("b", "workitems/j/job-1/e2/stdout.txt")
    await rig.engine.delete(["a", "b"])
    assert loopdev.users_of(str(image)) == []
    assert image.read_bytes() == before


async def test_owners_of_image_files_are_kept(rig: Rig, image: Path) -> None:
    await made(rig, node("a", image))
    assert await out(rig, "a", "e1", "stat -c %u:%g /etc/passwd /bin / /tmp") == "0:0\n" * 4
    await out(rig, "a", "e2", "touch /root-made; chown 1234:4321 /root-made", user=ADMIN)
    assert await out(rig, "a", "e3", "stat -c %u:%g /root-made") == "1234:4321\n"
    upper = rig.data_dir / "nodes/a/upper/root-made"
    assert (upper.stat().st_uid, upper.stat().st_gid) == (101_234, 104_321)


async def test_data_disks_are_thin_and_at_their_lun(rig: Rig, image: Path) -> None:
    data = image.parent / "data.raw"
    before = data.read_bytes()
    disks = (DiskMount(0, str(data)), DiskMount(7, str(data)))
    await made(rig, node("a", image, data_disks=disks), node("b", image, data_disks=disks[:1]))
    read = "cat /mnt/disks/lun0/reference.txt"
    assert await out(rig, "a", "e1", read + " /mnt/disks/lun7/reference.txt") == "reference data\n" * 2
    await out(rig, "a", "e2", "echo new > /mnt/disks/lun0/reference.txt", user=ADMIN)
    assert await out(rig, "a", "e3", read + " /mnt/disks/lun7/reference.txt") == "new\nreference data\n"
    assert await out(rig, "b", "e4", read) == "reference data\n"
    await rig.engine.delete(["a", "b"])
    assert data.read_bytes() == before


async def test_a_node_may_have_all_the_secrets_that_a_pool_may_have(rig: Rig, image: Path) -> None:
    data = base64.b64encode(bytes(CERTIFICATE_BYTES_MAX)).decode()
    seen = ("starttask", "task", "remoteuser")
    many = tuple(
        MachineCertificate(f"sha1-{number:040x}.pfx", data, "opens", seen)
        for number in range(CERTIFICATE_REFERENCES_MAX)
    )
    keys = tuple(
        UserAccount(f"u{number}", private_key="k" * (ACCOUNT_KEYS_MAX // 4), public_key="ssh-rsa AA")
        for number in range(4)
    )
    await made(rig, node("a", image, certificates=many, accounts=keys))
    assert await out(rig, "a", "e1", "cat /mnt/batch/certs/task/*.pfx | wc -c") == "102400\n"
    record = (rig.data_dir / "nodes/a/machine.json").read_text()
    assert data not in record
    assert "opens" not in record
    await rig.engine.delete(["a"])


async def test_a_reboot_keeps_changes_and_files(rig: Rig, image: Path) -> None:
    data = (DiskMount(1, str(image.parent / "data.raw")),)
    await made(rig, node("a", image, data_disks=data))
    write = "echo 1 > /kept; echo 2 > /mnt/disks/lun1/kept; echo 3 > /mnt/batch/tasks/shared/kept"
    await out(rig, "a", "e1", write, user=ADMIN)
    assert await rig.engine.delete(["a"], keep_storage=True) == [None]
    assert loopdev.users_of(str(image)) == []
    assert await rig.text("a", "shared/kept") == "3\n"
    await made(rig, node("a", image, data_disks=data, fence=2))
    read = "cat /kept /mnt/disks/lun1/kept /mnt/batch/tasks/shared/kept"
    assert await out(rig, "a", "e2", read, fence=2) == "1\n2\n3\n"
    assert (await rig.run("a", "e3", "true", fence=1))["code"] == "StaleFence"
    await rig.engine.delete(["a"])
    assert not (rig.data_dir / "nodes/a").exists()


async def test_a_machine_keeps_the_agent_it_was_born_with_over_an_upgrade(
    rig: Rig, image: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    [old] = await made(rig, node("a", image))
    assert old.agent == poolwright.__version__
    newer = tmp_path / "newer" / "poolwright"
    shutil.copytree(Path(poolwright.__file__).parent, newer, ignore=shutil.ignore_patterns("__pycache__"))
    (newer / "__init__.py").write_text('__version__ = "99.0"\n')
    await rig.agent.stop()
    monkeypatch.setattr(poolwright, "__file__", str(newer / "__init__.py"))
    rig.agent.start()
    await rig.until(lambda: rig.hellos[-1]["version"] == "99.0", "hello of the newer agent")
    await made(rig, node("b", image))
    told = {machine.name: machine.agent for machine in await rig.engine.machines()}
    assert told == {"a": poolwright.__version__, "b": "99.0"}
    assert await out(rig, "a", "e1", "echo well") == "well\n"
    await rig.engine.delete(["a"], keep_storage=True)
    [again] = await made(rig, node("a", image, fence=2))
    assert again.agent == "99.0"


async def test_machines_do_not_see_one_another_or_the_host(rig: Rig, image: Path) -> None:
    await made(rig, node("a", image), node("b", image))
    rig.hub.send_start([rig.spec("b", "e0", "sleep 60")])
    await rig.running("e0")
    processes = await out(
        rig, "a", "e1", "ps ax; hostname; cat /proc/mounts; ls /mnt/batch/tasks/workitems/j/job-1"
    )
    assert "sleep 60" not in processes
    assert "\na\n" in processes
    assert str(rig.data_dir) not in processes
    assert "e0" not in processes
    host_pid_1 = Path("/proc/1/cmdline").read_text().split("\0")[0]
    assert host_pid_1 not in processes.split("\n")[1]


async def test_limits_hold(rig: Rig, image: Path) -> None:
    (machine,) = await made(rig, node("a", image, memory_mib=64, cores=0.5))
    if "memory" not in machine.limits:
        assert any("memory" in note for note in machine.notes)
        pytest.skip(f"no limit of memory here: {machine.notes}")
    end = await rig.run("a", "e1", "sh -c 'x=$(head -c 200000000 /dev/zero | tr \"\\000\" x); echo ${#x}'")
    assert end["exit_code"] != 0 or "200000000" not in await rig.text("a", "workitems/j/job-1/e1/stdout.txt")
    assert (await rig.run("a", "e2", "true"))["exit_code"] == 0


async def test_network_between_machines_and_to_the_host(rig: Rig, image: Path) -> None:
    a, b = await made(rig, node("a", image), node("b", image))
    if a.address is None or b.address is None:
        pytest.skip(f"no machine network here: {a.notes}")
    hosts = await out(rig, "a", "e1", "cat /etc/hosts; cat /etc/resolv.conf; ip -4 address; ip route")
    assert f"{a.address}\ta" in hosts
    assert f"inet {a.address}/32" in hosts
    assert "nameserver 127." not in hosts
    for address in (a.address, b.address):
        assert reaches([], address)
    first = str(rig.pid_of("a"))
    assert reaches(["nsenter", "-t", first, "-n"], b.address)
    assert reaches(["nsenter", "-t", first, "-n"], "10." + a.address.split(".")[1] + ".0.1")
    assert not reaches(["nsenter", "-t", first, "-n"], "10." + a.address.split(".")[1] + ".200.200")
    network = ".".join(a.address.split(".")[:2]) + ".0.0/16"
    rules = subprocess.run(["nft", "list", "ruleset"], capture_output=True, text=True, check=True).stdout
    mine = [rule.strip() for rule in rules.splitlines() if network in rule]
    assert any(rule.endswith("masquerade") for rule in mine)
    hidden = f"ip saddr {network} ip daddr 169.254.0.0/16"
    assert any(rule.startswith(hidden) and rule.endswith("drop") for rule in mine), "the host's metadata"


async def test_addresses_are_not_reused_at_once(rig: Rig, image: Path) -> None:
    (a,) = await made(rig, node("a", image))
    if a.address is None:
        pytest.skip(f"no machine network here: {a.notes}")
    await rig.engine.delete(["a"])
    (b,) = await made(rig, node("b", image))
    assert b.address != a.address


async def test_a_build_machine_writes_its_own_disks(rig: Rig, image: Path, tmp_path: Path) -> None:
    disk = tmp_path / "os.raw"
    disk.write_bytes(image.read_bytes())
    data = make_disk(tmp_path / "data.raw", None, 8)
    await made(rig, vm("v1", disk, DiskMount(3, str(data), writable_in_place=True)))
    script = [
        "echo $GREETING; echo problem >&2; id -u; pwd",
        "echo installed > /usr/bin/tool; chown 1234:4321 /usr/bin/tool; chmod 4755 /usr/bin/tool",
        "echo scene > /mnt/disks/lun3/scene.txt",
        "exit 3",
    ]
    result = await rig.engine.run_command("v1", script, {"GREETING": "hello"}, 20)
    assert (result.exit_code, result.stdout, result.stderr) == (3, "hello\n0\n/root\n", "problem\n")
    assert await rig.engine.delete(["v1"], keep_storage=True) == [None]
    assert loopdev.users_of(str(disk)) == loopdev.users_of(str(data)) == []
    for path in (disk, data):
        subprocess.run(["e2fsck", "-fn", str(path)], check=True, capture_output=True)
    (tool,) = await made(rig, node("n", disk, data_disks=(DiskMount(3, str(data)),)))
    shown = await out(
        rig, "n", "e", "stat -c %u:%g:%a /usr/bin/tool; cat /usr/bin/tool /mnt/disks/lun3/scene.txt"
    )
    assert shown == "1234:4321:4755\ninstalled\nscene\n"
    assert tool.kind == "node"
    await rig.engine.delete(["v1", "n"])


async def test_a_writable_disk_has_one_user(rig: Rig, image: Path, tmp_path: Path) -> None:
    disk = tmp_path / "os.raw"
    disk.write_bytes(image.read_bytes())
    await made(rig, vm("v1", disk))
    (second,) = await rig.engine.create([vm("v2", disk)])
    assert isinstance(second, Transient)
    assert "attached" in str(second)
    assert [machine.name for machine in await rig.engine.machines()] == ["v1"]


async def test_commands_are_bounded(rig: Rig, image: Path, tmp_path: Path) -> None:
    disk = tmp_path / "os.raw"
    disk.write_bytes(image.read_bytes())
    await made(rig, vm("v1", disk))
    much = await rig.engine.run_command("v1", ["seq 1 100000", "echo end"], {}, 20)
    assert len(much.stdout) == 64 * 1024
    assert much.stdout.endswith("100000\nend\n")
    slow = await rig.engine.run_command("v1", ["sleep 100 & sleep 100"], {}, 0.3)
    assert (slow.exit_code, slow.timed_out) == (143, True)
    left = await rig.engine.run_command("v1", ["setsid sleep 77 >/dev/null 2>&1 &", "echo started"], {}, 20)
    assert left.stdout == "started\n"
    assert "sleep 77" in (await rig.engine.run_command("v1", ["ps ax"], {}, 20)).stdout
    with pytest.raises(NotFound):
        await rig.engine.run_command("none", ["true"], {}, 5)


@pytest.mark.parametrize("content", [b"", b"not a file system" * 1000])
async def test_useless_disks_are_rejected_and_leave_nothing(rig: Rig, tmp_path: Path, content: bytes) -> None:
    disk = tmp_path / "bad.raw"
    disk.write_bytes(content)
    outcomes = await rig.engine.create([node("a", disk), node("b", tmp_path / "missing.raw")])
    assert all(isinstance(outcome, Rejected) for outcome in outcomes)
    assert str(disk) in str(outcomes[0])
    assert await rig.engine.machines() == []
    assert loopdev.users_of(str(disk)) == []
    assert list((rig.data_dir / "nodes").glob("[!.]*")) == []


@pytest.mark.parametrize("name", ["", "../up", "a/b", ".hidden", "x" * 81, "sp ace"])
async def test_bad_names_are_rejected(rig: Rig, image: Path, name: str) -> None:
    (outcome,) = await rig.engine.create([node(name, image)])
    assert isinstance(outcome, Rejected)


async def test_hostile_images_cannot_reach_the_host(rig: Rig, image: Path, tmp_path: Path) -> None:
    """Symbolic links where a machine's mount points and files belong are resolved inside the machine."""
    tree = tmp_path / "tree"
    (tree / "bin").mkdir(parents=True)
    trap = tmp_path / "trap"
    trap.mkdir()
    for name in ("etc", "mnt", "home"):
        (tree / name).symlink_to(trap)
    disk = make_disk(tmp_path / "hostile.raw", tree, 8)
    outcomes = await rig.engine.create([node("a", disk)])
    assert list(trap.iterdir()) == []
    assert len(outcomes) == 1


async def test_a_host_that_cannot_have_machines_says_why(tmp_path: Path) -> None:
    """Without the right to mount there is still an agent, and it explains itself."""
    data = tmp_path / "data"
    (data / "run").mkdir(parents=True)
    rig = Rig(data)
    await rig.hub.start()
    command = [
        "setpriv",
        "--bounding-set",
        "-sys_admin",
        sys.executable,
        "-m",
        "poolwright.engines.sandbox.host",
    ]
    agent = await asyncio.create_subprocess_exec(*command, "--data-dir", str(data))
    try:
        await rig.hub.wait_connected(10)
        capabilities = await rig.engine.capabilities()
        assert not capabilities.usable
        assert "not permitted" in capabilities.missing[0].consequence
        (outcome,) = await rig.engine.create([node("n", tmp_path / "image")])
        assert isinstance(outcome, Rejected)
        assert "not permitted" in str(outcome)
    finally:
        agent.kill()
        await agent.wait()
        await rig.hub.close()


async def test_a_root_file_system_in_a_partition(rig: Rig, image: Path, tmp_path: Path) -> None:
    disk, start = tmp_path / "partitioned.raw", 2048 * 512
    size = image.stat().st_size
    disk.write_bytes(bytes(start) + image.read_bytes() + b"\xff" * 4096)
    await made(
        rig, node("a", disk, os_offset=start, os_size=size), node("b", disk, os_offset=start, os_size=size)
    )
    assert len(loopdev.users_of(str(disk))) == 1
    assert await out(rig, "a", "e1", "cat /etc/os-release; echo x > /tmp/x") == 'ID=test\nVERSION_ID="1"\n'
    await rig.engine.delete(["a", "b"])
    assert loopdev.users_of(str(disk)) == []
    built = vm("c", disk)
    wrong = MachineRequest("d", "node", 1, "d", str(disk), os_offset=-1)
    (refused,) = await rig.engine.create([wrong])
    assert isinstance(refused, Rejected)
    (refused,) = await rig.engine.create([built])
    assert "no ext4, xfs or btrfs file system at byte 0" in str(refused)
