"""Archives of packages: what is unpacked where, what is refused, and what is used again."""

from __future__ import annotations

import io
import stat
import zipfile
from pathlib import Path
from typing import Any

import pytest

from poolwright.transfer import archives, jobs, packages
from poolwright.transfer.failures import TransferFailed

DIRECTORY = "applications/app-1-abc"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A node's root directory."""
    made = tmp_path / "node"
    (made / ".trash").mkdir(parents=True)
    return made


def member(name: str, mode: int = 0) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.filename = name  # as it is: ZipInfo itself mends some names
    info.external_attr = mode << 16
    return info


def archive(path: Path, *members: tuple[str, int, bytes]) -> str:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as made:
        for name, mode, content in members:
            made.writestr(member(name, mode), content)
            made.infolist()[-1].external_attr = mode << 16  # writestr fills in what is 0
    return str(path)


def install(root: Path, file: str) -> dict[str, Any]:
    return jobs.run({"kind": "install", "root": str(root), "dir": DIRECTORY, "file": file})


def test_files_links_and_modes_come_as_they_were_packed(root: Path, tmp_path: Path) -> None:
    file = archive(
        tmp_path / "a.zip",
        ("bin\\tool", 0, b"made on Windows"),
        ("lib/deep/data", stat.S_IFREG | 0o600, b"x" * 3_000_000),
        ("lib/current", stat.S_IFLNK | 0o777, b"../bin/tool"),
        ("empty/", stat.S_IFDIR | 0o700, b""),
    )
    assert install(root, file) == {"ok": True, "files": 3, "bytes": 3_000_015, "reused": False}
    made = root / DIRECTORY
    modes = {str(p.relative_to(made)): oct(p.lstat().st_mode)[-3:] for p in made.rglob("*")}
    assert modes == {
        "bin": "755",
        "bin/tool": "755",
        "lib": "755",
        "lib/deep": "755",
        "lib/deep/data": "644",
        "lib/current": "777",
        "empty": "755",
    }
    assert (made / "lib/current").read_bytes() == b"made on Windows"


@pytest.mark.parametrize(
    ("name", "mode", "content"),
    [
        ("../x", 0, b""),
        ("a/../../x", 0, b""),
        ("/etc/x", 0, b""),
        ("..\\x", 0, b""),
        ("C:\\x", 0, b""),
        ("fifo", stat.S_IFIFO | 0o644, b""),
        ("a/" * 70 + "x", 0, b""),
        ("l", stat.S_IFLNK | 0o777, b"/etc/passwd"),
        ("l", stat.S_IFLNK | 0o777, b".."),
        ("d/l", stat.S_IFLNK | 0o777, b"a/../../.."),
        ("d/l", stat.S_IFLNK | 0o777, b""),
    ],
)
def test_nothing_leads_out_of_a_package(
    root: Path, tmp_path: Path, name: str, mode: int, content: bytes
) -> None:
    outcome = install(root, archive(tmp_path / "a.zip", ("first", 0, b"1"), (name, mode, content)))
    assert (outcome["ok"], outcome["code"]) == (False, "ApplicationPackageError")
    assert [p.name for p in (root / "applications").iterdir()] == [], "nothing of it is left"
    assert not list(tmp_path.rglob("x"))


def test_no_entry_goes_through_a_link(root: Path, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    link = ("d/l", stat.S_IFLNK | 0o777, b"../e")
    outcome = install(root, archive(tmp_path / "a.zip", link, ("e/", 0, b""), ("d/l/x", 0, b"1")))
    assert outcome["code"] == "ApplicationPackageError"
    (root / "applications").rmdir()
    (root / "applications").symlink_to(tmp_path / "outside")
    outcome = install(root, archive(tmp_path / "a.zip", ("x", 0, b"1")))
    assert outcome["code"] == "ApplicationPackageError"
    assert list((tmp_path / "outside").iterdir()) == []


def test_what_lies_about_itself_is_bounded(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bomb = archive(tmp_path / "a.zip", ("zeros", 0, bytes(5_000_000)))
    monkeypatch.setattr(archives, "UNPACKED_MAX", 4_000_000)
    assert "unpacks to more than" in install(root, bomb)["message"]
    many = archive(tmp_path / "b.zip", *((f"f{i}", 0, b"") for i in range(4)))
    monkeypatch.setattr(archives, "ENTRIES_MAX", 3)
    assert "at most 3" in install(root, many)["message"]
    broken = Path(archive(tmp_path / "c.zip", ("f", 0, b"content" * 100)))
    broken.write_bytes(broken.read_bytes().replace(b"PK\x01\x02", b"PK\x01\x03"))
    assert "not a sound zip file" in install(root, str(broken))["message"]
    assert "was deleted" in install(root, str(tmp_path / "none"))["message"]
    with pytest.raises(TransferFailed, match="zip"):
        archives.entries(io.BytesIO(b"no archive"))


def test_a_package_is_used_again_unless_the_host_went_down(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = archive(tmp_path / "a.zip", ("f", 0, b"1"))
    (root / "applications" / f".{Path(DIRECTORY).name}.new" / "half").mkdir(parents=True)
    assert install(root, file)["reused"] is False
    assert install(root, file)["reused"] is True
    (root / DIRECTORY / "f").write_bytes(b"")  # as a file system may leave it after a crash
    boot = tmp_path / "boot"
    boot.write_text("another boot\n")
    monkeypatch.setattr(packages, "_BOOT", boot)
    assert install(root, file)["reused"] is False
    assert (root / DIRECTORY / "f").read_bytes() == b"1"
    names = {p.name for p in (root / "applications").iterdir()}
    assert names == {"app-1-abc", ".app-1-abc.mark"}
