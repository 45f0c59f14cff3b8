"""The base image of this host's own release, really bootstrapped from its package sources."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from poolwright.images import aptsources, bases, filesystem, rootfs
from poolwright.images.base import BuildFailed, DiskInfo
from poolwright.images.digest import digest_file
from poolwright.images.osrelease import parse_os_release
from poolwright.images.programs import missing_packages
from poolwright.images.raw import BASE_CACHE_VARIABLE, RawImagePlane
from tests.support.leaks import Watch

ROOT = Path(__file__).parents[3]
SHARED_CACHE = Path(os.environ.get(BASE_CACHE_VARIABLE) or ROOT / ".dev/cache/base")
RECIPE_MODULES = (aptsources, bases, filesystem, rootfs)

pytestmark = [pytest.mark.needs_root, pytest.mark.slow]


@pytest.fixture(scope="module", autouse=True)
def able() -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root: bootstraps a distribution")
    if packages := missing_packages(["mmdebstrap", "mke2fs", "debugfs"]):
        pytest.skip(f"needs the packages {' '.join(packages)}")
    if not bases.HostBases().entries():
        pytest.skip("needs a Debian or Ubuntu host: there is no recipe for other base images")


@pytest.fixture(scope="module")
def plane(able: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RawImagePlane]:
    """A plane with the cache all tests share, unless what is cached was made by an older recipe."""
    root = tmp_path_factory.mktemp("plane")
    shared = RawImagePlane(root, base_cache=SHARED_CACHE)
    entry = shared.catalogue()[-1]
    if entry.built:
        made = shared.ensure_base(entry.image, lambda _stage, _fraction: None).path.stat().st_mtime
        if made < max(Path(str(module.__file__)).stat().st_mtime for module in RECIPE_MODULES):
            yield RawImagePlane(root, base_cache=root / "bases")
            return
    yield shared


@pytest.fixture(scope="module")
def base(plane: RawImagePlane) -> DiskInfo:
    stages: list[tuple[str, float]] = []
    image = plane.catalogue()[-1].image
    made = plane.ensure_base(image, lambda stage, fraction: stages.append((stage, fraction)))
    assert [fraction for _stage, fraction in stages] == sorted(fraction for _stage, fraction in stages)
    return made


def cat(base: DiskInfo, name: str) -> str | None:
    """A file of the image, None where there is none; read without a mount."""
    argv = ["debugfs", "-R", f'cat "{name}"', str(base.path)]
    done = subprocess.run(argv, check=True, capture_output=True, text=True)
    return None if "File not found" in done.stderr else done.stdout


def names(base: DiskInfo, directory: str) -> list[str]:
    argv = ["debugfs", "-R", f'ls -p "{directory}"', str(base.path)]
    done = subprocess.run(argv, check=True, capture_output=True, text=True)
    return [line.split("/")[5] for line in done.stdout.splitlines() if line.startswith("/")]


def test_it_is_a_frozen_disk_of_this_hosts_release(plane: RawImagePlane, base: DiskInfo) -> None:
    host = parse_os_release(Path("/etc/os-release").read_text())
    assert host is not None
    seen = plane.inspect(base.name)
    assert (seen.filesystem, seen.partition_table, seen.partition_offset) == ("ext4", None, 0)
    assert (seen.os_id, seen.os_version) == (host.id, host.version_id)
    assert seen.agent_sku == plane.catalogue()[-1].agent_sku == host.agent_sku
    assert base.frozen
    assert base.digest == digest_file(base.path)
    assert base.size_bytes == bases.BASE_SIZE_BYTES
    assert base.allocated_bytes < 600 * 1024**2


def test_the_file_system_is_whole(base: DiskInfo) -> None:
    subprocess.run(["e2fsck", "-f", "-n", str(base.path)], check=True, capture_output=True)


def test_it_carries_no_identity(base: DiskInfo) -> None:
    assert cat(base, "/etc/machine-id") == ""
    assert cat(base, "/var/lib/dbus/machine-id") is None
    assert cat(base, "/etc/hostname") is None
    assert cat(base, "/etc/resolv.conf") == ""
    assert cat(base, "/var/lib/systemd/random-seed") is None
    assert not [name for name in names(base, "/etc/ssh") if name.startswith("ssh_host_")]
    assert "localhost" in (cat(base, "/etc/hosts") or "")


def test_nodes_find_their_directories_and_no_service_starts(base: DiskInfo) -> None:
    assert {"batch", "disks"} <= set(names(base, "/mnt"))
    assert "exit 101" in (cat(base, "/usr/sbin/policy-rc.d") or "")
    assert [name for name in names(base, "/var/cache/apt/archives") if name.endswith(".deb")] == []
    assert {"etc", "usr", "var"} <= set(names(base, "/"))
    assert "rootfs" not in names(base, "/")


def test_its_sources_are_the_hosts_and_work(plane: RawImagePlane, base: DiskInfo) -> None:
    """apt reads the package lists inside a copy of the image and would install a package from them."""
    plane.clone(base.name, "apt")
    disk = plane.path("apt", writable=True)
    script = (
        'mount -o loop "$1" /mnt && cp /etc/resolv.conf /mnt/etc/resolv.conf && mount -t proc proc /mnt/proc && '
        "chroot /mnt sh -c 'cat /etc/apt/sources.list.d/*; apt-get update && apt-get install -s povray'"
    )
    argv = ["unshare", "--mount", "--pid", "--fork", "--kill-child=KILL", "sh", "-c", script, "sh", str(disk)]
    done = subprocess.run(argv, check=False, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Inst povray " in done.stdout
    assert "NO_PUBKEY" not in done.stderr
    release = parse_os_release(Path("/etc/os-release").read_text())
    assert release is not None
    for source in aptsources.distribution_sources(release):
        assert source.stanza() in done.stdout
    plane.delete("apt")


@pytest.mark.parametrize("fatal", ["reading the package lists", "unpacking packages"])
def test_a_killed_build_takes_its_programs_along(fatal: str, tmp_path: Path, leaves_nothing: Watch) -> None:
    root = tmp_path / "images"
    argv = [sys.executable, "-m", "tests.contract.images.base_builder", str(root)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        try:
            stages = [line for line in iter(process.stdout.readline, fatal + "\n") if line]
        finally:
            process.kill()
    assert stages[0] == "waiting for the build lock\n"
    assert leaves_nothing.leaks().ours == []
    plane = RawImagePlane(root, base_cache=root / "bases")
    assert len(plane.recover().removed) == 1
    assert list((root / "bases/tmp").iterdir()) == []
    assert not plane.catalogue()[-1].built


def test_a_build_ends_when_the_plane_is_closed(tmp_path: Path, leaves_nothing: Watch) -> None:
    plane = RawImagePlane(tmp_path / "images", base_cache=tmp_path / "bases")

    def progress(stage: str, _fraction: float) -> None:
        if stage == "reading the package lists":
            plane.close()

    with pytest.raises(BuildFailed, match="the service is ending"):
        plane.ensure_base(plane.catalogue()[-1].image, progress)
    assert plane.recover().clean


def test_a_mirror_that_does_not_answer_is_told_with_its_last_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, leaves_nothing: Watch
) -> None:
    """A proxy that refuses connections; its password stays out of the message."""
    for name in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://user:secret-word@127.0.0.1:9")
    plane = RawImagePlane(tmp_path / "images", base_cache=tmp_path / "bases")
    with pytest.raises(BuildFailed, match="mmdebstrap failed") as caught:
        plane.ensure_base(plane.catalogue()[-1].image, lambda _stage, _fraction: None)
    assert "127.0.0.1" in caught.value.output
    assert "secret-word" not in caught.value.output
    assert plane.recover().clean
