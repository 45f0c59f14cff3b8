from __future__ import annotations

from pathlib import Path
from threading import Event

import pytest

from poolwright.images.base import BuildFailed, MarketplaceImage, UnsupportedImage, check_name
from poolwright.images.bases import HostBases, base_disk_name
from poolwright.images.osrelease import OsRelease
from poolwright.images.programs import clean
from poolwright.images.rootfs import Build, HostRootfs, finish_tree


def host(root: Path, os_release: str, debian_version: str = "") -> HostBases:
    (root / "etc").mkdir()
    (root / "etc/os-release").write_text(os_release)
    if debian_version:
        (root / "etc/debian_version").write_text(debian_version + "\n")
    return HostBases(root)


def test_a_debian_host(tmp_path: Path) -> None:
    bases = host(tmp_path, "ID=debian\nVERSION_ID=12\nVERSION_CODENAME=bookworm\n", "12.11")
    (entry,) = bases.entries()
    assert entry.image == MarketplaceImage("debian", "debian-12", "12", "12.11.1")
    assert (entry.agent_sku, entry.os_type, entry.built) == ("batch.node.debian 12", "linux", False)
    with pytest.raises(UnsupportedImage, match="another release"):
        bases.maker(MarketplaceImage("debian", "debian-11", "11", "11.0.1"))


@pytest.mark.parametrize(
    ("version", "pretty", "image"),
    [
        (
            "24.04",
            "Ubuntu 24.04.2 LTS",
            MarketplaceImage("canonical", "ubuntu-24_04-lts", "server", "24.04.201"),
        ),
        ("24.04", "Ubuntu 24.04 LTS", MarketplaceImage("canonical", "ubuntu-24_04-lts", "server", "24.04.1")),
        (
            "22.04",
            "Ubuntu 22.04.5 LTS",
            MarketplaceImage("canonical", "0001-com-ubuntu-server-jammy", "22_04-lts", "22.04.501"),
        ),
    ],
)
def test_an_ubuntu_host(tmp_path: Path, version: str, pretty: str, image: MarketplaceImage) -> None:
    (entry,) = host(tmp_path, f'ID=ubuntu\nVERSION_ID="{version}"\nPRETTY_NAME="{pretty}"\n').entries()
    assert entry.image == image
    assert entry.agent_sku == f"batch.node.ubuntu {version}"


@pytest.mark.parametrize("text", ["ID=arch\n", "ID=debian\n", "ID=ubuntu\nVERSION_ID=23.10\n", ""])
def test_other_hosts_offer_nothing(tmp_path: Path, text: str) -> None:
    assert host(tmp_path, text).entries() == ()


def test_every_image_has_a_name_of_its_own_that_is_a_disk_name() -> None:
    name = base_disk_name(MarketplaceImage("Canonical", "ubuntu-24_04-lts", "server", "24.04.201"))
    assert check_name(name) == "base-canonical-ubuntu-24-04-lts-server-24-04-201"
    check_name(base_disk_name(MarketplaceImage("p" * 60, "o" * 60, "s" * 60, "1.2.3")))


def test_finishing_a_tree_twice_changes_nothing(tmp_path: Path) -> None:
    for name in ("etc/ssh", "etc/apt/apt.conf.d", "var/lib/dbus", "usr/sbin"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "etc/ssh/ssh_host_ed25519_key").write_text("private")
    (tmp_path / "etc/machine-id").write_text("0123456789abcdef")
    (tmp_path / "etc/hostname").write_text("builder")
    (tmp_path / "etc/apt/apt.conf.d/99mmdebstrap").write_text("x")
    (tmp_path / "etc/resolv.conf").symlink_to("../run/systemd/resolve/stub-resolv.conf")
    for _ in range(2):
        finish_tree(tmp_path, (), ('Acquire::Retries "3";',))
        assert (tmp_path / "etc/machine-id").read_text() == ""
        assert (tmp_path / "etc/resolv.conf").read_text() == ""
        assert not (tmp_path / "etc/resolv.conf").is_symlink()
        left = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
        assert left == {
            "etc/apt/apt.conf.d/90host-access",
            "etc/hosts",
            "etc/machine-id",
            "etc/resolv.conf",
            "usr/sbin/policy-rc.d",
        }


def test_a_tree_that_links_out_of_itself_is_refused(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "etc").symlink_to(tmp_path / "outside")
    with pytest.raises(BuildFailed, match="leads out of the image"):
        finish_tree(tree, (), ())
    assert list((tmp_path / "outside").iterdir()) == []


def test_program_output_is_cut_and_shows_no_password() -> None:
    text = "\n".join(["first", *["line"] * 100, "E: http://user:secret@proxy.example/x failed", "y" * 5000])
    shown = clean(text)
    assert "secret" not in shown
    assert "http://***@proxy.example/x failed" in shown
    assert "first" not in shown
    assert len(shown) < 10_000


def test_a_plain_user_is_told_what_building_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    monkeypatch.setattr("poolwright.images.programs.SEARCH_PATH", str(tmp_path))
    maker = HostRootfs(OsRelease("debian", "12", "bookworm", "Debian 12"))
    with pytest.raises(
        UnsupportedImage, match="needs root rights and the packages e2fsprogs mmdebstrap util-linux"
    ):
        maker.make(tmp_path, Build(lambda _stage, _fraction: None, -1, Event()))


def test_a_host_without_its_own_sources_is_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr("poolwright.images.rootfs.missing_packages", lambda _programs: [])
    maker = HostRootfs(OsRelease("debian", "12", "bookworm", "Debian 12"), {}, tmp_path)
    with pytest.raises(UnsupportedImage, match="no package source of debian bookworm found"):
        maker.make(tmp_path, Build(lambda _stage, _fraction: None, -1, Event()))
