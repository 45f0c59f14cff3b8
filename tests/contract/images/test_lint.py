"""Each finding on a real file system that has just what it is about."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from poolwright.images.base import DiskExists
from poolwright.images.corrector import RULES
from poolwright.images.inspect import inspect_disk
from poolwright.images.lint import lint
from tests.contract.images.harness import MIB, OS_RELEASE, tiny_plane


def good(tree: Path) -> None:
    for name in (
        "usr/lib",
        "bin",
        "sbin",
        "tmp",
        "var/cache/apt/archives",
        "etc/ssh",
        "var/log/journal",
        "var/lib/waagent",
        "root",
    ):
        (tree / name).mkdir(parents=True)
    (tree / "usr/lib/os-release").write_text(OS_RELEASE)
    (tree / "bin/sh").write_text("a shell\n")
    (tree / "sbin/init").write_text("an init\n")
    (tree / "etc/machine-id").write_text("")
    (tree / "etc/fstab").write_text("# /dev/sdb1 /mnt ext4\nUUID=1 / ext4 defaults 0 1\n")
    (tree / "var/log/auth.log").write_text("")


def put(name: str, text: str) -> Callable[[Path], None]:
    def change(tree: Path) -> None:
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_text(text)

    return change


def made(tmp_path: Path, change: Callable[[Path], object] | None = None, mib: int = 160) -> Path:
    tree, path = tmp_path / "tree", tmp_path / "os.raw"
    tree.mkdir()
    good(tree)
    if change is not None:
        change(tree)
    with path.open("wb") as file:
        file.truncate(mib * MIB)
    subprocess.run(["mke2fs", "-q", "-t", "ext4", "-d", str(tree), str(path)], check=True)
    return path


def codes(path: Path) -> list[tuple[str, str]]:
    return [(found.code, found.severity) for found in lint(path, inspect_disk(path))]


def test_a_generalized_image_has_no_findings(tmp_path: Path) -> None:
    assert lint(made(tmp_path), inspect_disk(tmp_path / "os.raw")) == ()


@pytest.mark.parametrize(
    ("change", "code", "named"),
    [
        (put("etc/machine-id", "0123456789abcdef0123456789abcdef\n"), "MachineId", "/etc/machine-id"),
        (put("etc/ssh/ssh_host_rsa_key", "secret"), "HostKeys", "ssh_host_rsa_key"),
        (put("var/log/auth.log", "login\n"), "Logs", "auth.log"),
        (put("var/log/journal/0123/system.journal", "x"), "Logs", "journal/0123"),
        (put("root/.bash_history", "export TOKEN=x\n"), "Histories", ".bash_history"),
        (put("var/lib/waagent/Vendor.Kind.CustomScript-2.1.3/x", ""), "Extensions", "CustomScript-2.1.3"),
        (put("etc/fstab", "/dev/sdb1 /mnt/ ext4 defaults 0 0\n"), "TemporaryDrive", "/mnt"),
        (put("var/log/app.log", "x\nDB_PASSWORD=hunter2hunter2\n"), "SecretsInLogs", "app.log"),
        (put("var/cache/apt/archives/a_1_amd64.deb", "x"), "PackageCaches", "a_1_amd64.deb"),
        (put("tmp/build", "x"), "TemporaryFiles", "/tmp/build"),
        (put("var/lib/systemd/random-seed", "x"), "InstanceData", "random-seed"),
        (lambda tree: (tree / "sbin/init").unlink(), "NoInit", "no init"),
        (lambda tree: (tree / "bin/sh").unlink(), "NoShell", "no shell"),
        (lambda tree: (tree / "usr/lib/os-release").unlink(), "UnknownSystem", "os-release"),
        (put("usr/lib/os-release", "ID=strange\nPRETTY_NAME=Strange\n"), "NoAgentSku", "Strange"),
    ],
)
def test_each_finding_names_what_it_found(
    tmp_path: Path, change: Callable[[Path], object], code: str, named: str
) -> None:
    (found,) = lint(made(tmp_path, change), inspect_disk(tmp_path / "os.raw"))
    assert found.code == code
    assert named in found.message
    assert found.fix


def test_state_of_the_file_system(tmp_path: Path) -> None:
    small = made(tmp_path, mib=48)
    assert codes(small) == [("LittleSpace", "warning")]
    broken = "clri <13>"  # an inode in use wiped out
    subprocess.run(["debugfs", "-w", "-R", broken, str(small)], check=True, capture_output=True)
    assert ("FileSystemErrors", "error") in codes(small)
    with small.open("r+b") as file:
        file.truncate(0)
        file.truncate(48 * MIB)
    assert codes(small) == [("NoFileSystem", "error")]


def test_a_journal_left_behind_is_told(tmp_path: Path) -> None:
    path = made(tmp_path)
    argv = ["debugfs", "-w", "-R", "feature needs_recovery", str(path)]
    subprocess.run(argv, check=True, capture_output=True)
    before = path.read_bytes()
    assert ("FileSystemNotClean", "warning") in codes(path)
    assert path.read_bytes() == before


def dirty(tree: Path) -> None:
    for name, text in {
        "etc/machine-id": "0123456789abcdef0123456789abcdef\n",
        "etc/ssh/ssh_host_rsa_key": "secret",
        "etc/ssh/sshd_config": "Port 22\n",
        "var/log/app.log": "token: abcdefghijk\n",
        "var/log/auth.log": "login\n",
        "var/log/auth.log.1": "older\n",
        "var/log/journal/0123/system.journal": "x",
        "root/.bash_history": "export TOKEN=x\n",
        "home/someone/.bash_history": "export TOKEN=x\n",
        "var/lib/waagent/Vendor.Kind.CustomScript-2.1.3/x": "",
        "etc/fstab": "/dev/sdb1 /mnt/ ext4 defaults 0 0\nUUID=1 / ext4 defaults 0 1\n",
        "var/cache/apt/archives/a_1_amd64.deb": "x",
        "tmp/build/x": "x",
        "var/lib/systemd/random-seed": "x",
        "opt/kept": "kept",
    }.items():
        put(name, text)(tree)
    (tree / "var/tmp").symlink_to("/opt")  # a link must not lead to what is not meant


def test_a_corrected_copy_has_no_findings_and_everything_else(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("correcting needs root: the disk is mounted")
    plane = tiny_plane(tmp_path / "plane")
    plane.import_file("dirty", made(tmp_path, dirty))
    plane.freeze("dirty")
    before = {found.code for found in plane.lint("dirty")}
    assert before >= set(RULES) - {"NoInit"}
    info = plane.correct("dirty", "clean")
    assert info.frozen
    assert [found.code for found in plane.lint("clean")] == []
    assert {found.code for found in plane.lint("dirty")} == before, "what is frozen stays as it was"
    inside = ("/opt/kept", "/etc/ssh/sshd_config", "/etc/fstab", "/var/log/auth.log", "/etc/machine-id")
    asked = [f"cat {name}" for name in inside]
    read = [
        subprocess.run(["debugfs", "-R", ask, str(info.path)], capture_output=True, check=True).stdout
        for ask in asked
    ]
    fstab = b"# /dev/sdb1 /mnt/ ext4 defaults 0 0\nUUID=1 / ext4 defaults 0 1\n"
    assert read == [b"kept", b"Port 22\n", fstab, b"", b""]
    with pytest.raises(DiskExists):
        plane.correct("dirty", "clean")
    assert plane.recover().clean
