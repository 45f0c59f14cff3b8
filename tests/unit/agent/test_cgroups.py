"""Both versions of control groups, on made-up trees (a host has only one of them)."""

from __future__ import annotations

from pathlib import Path

import pytest

from poolwright.engines.sandbox.host.cgroups import ControlGroups, Limits

LIMITS = Limits(cores=1.5, memory_mib=256, pids=99)


@pytest.fixture
def host(tmp_path: Path) -> Path:
    (tmp_path / "groups").mkdir()
    return tmp_path


def controller(host: Path, mounts: str, own: str) -> ControlGroups:
    (host / "mounts").write_text(mounts.replace("@", str(host / "groups")))
    (host / "cgroup").write_text(own)
    return ControlGroups("tag", str(host / "mounts"), str(host / "cgroup"))


def prepare(directory: Path, *names: str) -> Path:
    """A directory with the files that the kernel would put there."""
    directory.mkdir(parents=True, exist_ok=True)
    for name in names:
        (directory / name).touch()
    return directory


def test_version_2(host: Path) -> None:
    root = prepare(host / "groups", "cgroup.subtree_control")
    (root / "cgroup.controllers").write_text("cpuset cpu memory pids\n")
    base = prepare(root / "poolwright-tag", "cgroup.subtree_control")
    mine = prepare(base / "n1", "cpu.max", "memory.max", "pids.max", "cgroup.procs")
    groups = controller(host, "cgroup2 @ cgroup2 rw 0 0\n", "0::/user.slice\n")
    assert groups.available() == {"cpu", "memory", "pids"}
    group = groups.make("n1", LIMITS)
    assert (group.directories, group.notes) == ((str(mine),), ())
    assert sorted(group.applied) == ["cpu", "memory", "pids"]
    assert (mine / "cpu.max").read_text() == "150000 100000"
    assert (mine / "memory.max").read_text() == str(256 << 20)
    assert (mine / "pids.max").read_text() == "99"


def test_version_1_below_the_own_group(host: Path) -> None:
    for name, file in (
        ("cpu", "cpu.cfs_quota_us"),
        ("memory", "memory.limit_in_bytes"),
        ("pids", "pids.max"),
    ):
        prepare(host / "groups" / name / "mine/poolwright-tag/n1", file)
    mounts = "".join(f"cgroup @/{name} cgroup rw,{name} 0 0\n" for name in ("cpu", "memory", "pids"))
    groups = controller(host, mounts, "3:cpu:/mine\n2:memory:/mine\n1:pids:/mine\n")
    group = groups.make("n1", LIMITS)
    assert len(group.directories) == 3
    assert group.notes == ()
    quota = host / "groups/cpu/mine/poolwright-tag/n1/cpu.cfs_quota_us"
    assert quota.read_text() == "150000"


def test_what_is_missing_is_said(host: Path) -> None:
    prepare(host / "groups/pids/poolwright-tag/n1", "pids.max")
    groups = controller(host, "cgroup @/pids cgroup rw,pids 0 0\n", "1:pids:/\n")
    group = groups.make("n1", LIMITS)
    assert group.applied == ("pids",)
    assert [note.partition(":")[0] for note in group.notes] == ["no cpu limit", "no memory limit"]


def test_groups_of_an_earlier_agent_go_with_their_parent(host: Path) -> None:
    prepare(host / "groups/pids/poolwright-tag")
    groups = controller(host, "cgroup @/pids cgroup rw,pids 0 0\n", "1:pids:/\n")
    old = prepare(host / "groups/pids/elsewhere/poolwright-tag/n1")
    mine = prepare(host / "groups/pids/poolwright-tag/n2")
    assert groups.discard((str(old), str(mine)))
    assert not old.parent.exists()
    assert mine.parent.exists()
    assert groups.discard((str(old), str(mine)))
