"""Container images in archives: layers one over the other, whiteouts, and nothing outside of the image touched."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import platform
import subprocess
import tarfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from poolwright.images.base import UnsupportedImage
from poolwright.images.oci import open_archive
from tests.contract.images.harness import OS_RELEASE, tiny_plane

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root: files keep their owners")
Entry = tuple[str, Any]
MACHINE = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())


def layer(*entries: Entry) -> bytes:
    """A tar: text is a file, None a directory, ("sym"|"link", to) a link, a TarInfo itself."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, what in entries:
            info = what if isinstance(what, tarfile.TarInfo) else tarfile.TarInfo(name)
            data = b""
            if what is None:
                info.type, info.mode = tarfile.DIRTYPE, 0o755
            elif isinstance(what, tuple):
                info.type, info.linkname = tarfile.SYMTYPE if what[0] == "sym" else tarfile.LNKTYPE, what[1]
            elif isinstance(what, str):
                data = what.encode()
                info.size, info.mode, info.uid, info.gid = len(data), 0o640, 12, 34
            tar.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def zstd(raw: bytes) -> bytes:
    return subprocess.run(["zstd", "-q", "-c"], input=raw, capture_output=True, check=True).stdout


BASE = layer(
    ("./", None), ("usr/lib/os-release", OS_RELEASE), ("etc/", None), ("etc/old", "old"), ("etc/kept", "kept"),
    ("srv/data/", None), ("srv/data/a", "a"), ("srv/data/deep/b", "b"), ("srv/swap", "a file"), ("opt/x/", None),
    ("run/", None), ("var/run", ("sym", "/run")),
)  # fmt: skip
SECOND = layer(
    ("etc/.wh.old", ""), ("srv/data/new", "new"), ("srv/data/.wh..wh..opq", ""), ("srv/swap/", None),
    ("srv/swap/inside", "now a directory"), ("opt/x", ("sym", "/etc")), ("var/run/pid", "1"),
    ("etc/again", ("link", "etc/kept")), (".wh..wh.plnk", ""),
)  # fmt: skip
THIRD = layer(("etc/.wh.never-there", ""), ("etc/new", "3"), ("etc/.wh.new", ""))


def oci(path: Path, blobs: list[bytes], change: Callable[[dict[str, bytes]], None] | None = None) -> Path:
    files: dict[str, bytes] = {"oci-layout": b'{"imageLayoutVersion":"1.0.0"}'}

    def add(data: bytes) -> dict[str, Any]:
        digest = hashlib.sha256(data).hexdigest()
        files[f"blobs/sha256/{digest}"] = data
        return {"digest": f"sha256:{digest}", "size": len(data)}

    manifest = add(json.dumps({"layers": [add(blob) for blob in blobs]}).encode())
    other = {**manifest, "platform": {"os": "linux", "architecture": "pdp11"}}
    mine = {**manifest, "platform": {"os": "linux", "architecture": MACHINE}}
    index = add(json.dumps({"manifests": [other, mine]}).encode())
    files["index.json"] = json.dumps({"manifests": [index]}).encode()
    if change is not None:
        change(files)
    return archive(path, files)


def archive(path: Path, files: dict[str, bytes]) -> Path:

    with tarfile.open(path, "w") as tar:
        for name, data in files.items():
            tar.addfile(_file(name, data), io.BytesIO(data))
    return path


def _file(name: str, data: bytes) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    return info


def docker(path: Path, blobs: list[bytes]) -> Path:
    files = {f"{index:064x}/layer.tar": blob for index, blob in enumerate(blobs)}
    about = [{"Config": "x.json", "RepoTags": ["a:1"], "Layers": list(files)}]
    return archive(path, {**files, "manifest.json": json.dumps(about).encode()})


def names(tree: Path) -> dict[str, str]:
    return {
        str(path.relative_to(tree)): str(path.readlink()) if path.is_symlink() else path.read_text()
        for path in sorted(tree.rglob("*"))
        if path.is_symlink() or path.is_file()
    }


@pytest.mark.parametrize("shape", [oci, docker])
def test_layers_lie_one_over_the_other(tmp_path: Path, shape: Callable[..., Path]) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    file = shape(tmp_path / "image.tar", [BASE, gzip.compress(SECOND), zstd(THIRD)])
    with open_archive(file) as container:
        assert container is not None
        container.unpack(tree)
    assert names(tree) == {
        "usr/lib/os-release": OS_RELEASE,
        "etc/kept": "kept",
        "etc/again": "kept",
        "etc/new": "3",
        "srv/data/new": "new",
        "srv/swap/inside": "now a directory",
        "opt/x": "/etc",
        "run/pid": "1",
        "var/run": "/run",
    }
    status = (tree / "etc/kept").stat()
    assert (status.st_uid, status.st_gid, status.st_mode & 0o7777, status.st_nlink) == (12, 34, 0o640, 2)


def test_an_archive_becomes_a_disk(tmp_path: Path) -> None:
    plane = tiny_plane(tmp_path / "plane")
    file = tmp_path / "image.tar.gz"
    file.write_bytes(gzip.compress(oci(tmp_path / "image.tar", [BASE, SECOND]).read_bytes()))
    plane.import_file("container", file)
    seen = plane.inspect("container")
    assert (seen.filesystem, seen.agent_sku) == ("ext4", "batch.node.debian 12")
    assert plane.recover().clean
    assert [path.name for path in tmp_path.joinpath("plane/tmp").iterdir()] == []


@pytest.mark.parametrize(
    "entries",
    [
        [("../outside", "x")],
        [("a/../../outside", "x")],
        [("up", ("sym", "..")), ("up/outside", "x")],
        [("up", ("sym", "../../../../..")), ("up/outside", "x")],
        [("abs", ("sym", "{tmp}")), ("abs/outside", "x")],
        [("stolen", ("link", "../secret"))],
        [("in", ("sym", "{tmp}")), ("stolen", ("link", "in/secret"))],
        [("in", ("sym", "{tmp}")), ("in/.wh.secret", "")],
        [("in", ("sym", "{tmp}")), ("in/.wh..wh..opq", "")],
        [(".wh...", "")],
    ],
)
def test_no_layer_reaches_outside(tmp_path: Path, entries: list[Entry]) -> None:
    (tmp_path / "secret").write_text("the host's")
    tree = tmp_path / "work" / "tree"
    tree.mkdir(parents=True)
    named = [
        (name, (what[0], what[1].replace("{tmp}", str(tmp_path))) if isinstance(what, tuple) else what)
        for name, what in entries
    ]
    with (
        open_archive(docker(tmp_path / "image.tar", [layer(entry) for entry in named])) as container,
        suppress(UnsupportedImage),
    ):
        assert container is not None
        container.unpack(tree)
    assert (tmp_path / "secret").read_text() == "the host's"
    assert (tmp_path / "secret").stat().st_nlink == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["image.tar", "secret", "work"]
    assert [path.name for path in (tmp_path / "work").iterdir()] == ["tree"]


def damage(files: dict[str, bytes]) -> None:
    name = max((name for name in files if name.startswith("blobs")), key=lambda name: len(files[name]))
    files[name] = files[name][:-1] + b"x"


def empty(files: dict[str, bytes]) -> None:
    files["index.json"] = b'{"manifests": []}'


def traverse(files: dict[str, bytes]) -> None:
    files["index.json"] = b'{"manifests": [{"digest": "sha256:../../../etc/passwd"}]}'


@pytest.mark.parametrize(
    ("change", "why"),
    [(damage, "does not have its digest"), (empty, "no image"), (traverse, "no digest of a blob")],
)
def test_what_cannot_be_read_is_told(
    tmp_path: Path, change: Callable[[dict[str, bytes]], None], why: str
) -> None:
    plane = tiny_plane(tmp_path / "plane")
    with pytest.raises(UnsupportedImage, match=why):
        plane.import_file("bad", oci(tmp_path / "image.tar", [BASE], change))
    assert plane.list() == ()
    assert plane.recover().clean


def test_a_root_file_system_is_not_taken_for_one(tmp_path: Path) -> None:
    file = tmp_path / "rootfs.tar"
    file.write_bytes(layer(("manifest.json", "[]"), ("usr/lib/os-release", OS_RELEASE)))
    for other in (file, archive(tmp_path / "blobs.tar", {"blobs/sha256/x": b""})):
        with open_archive(other) as container:
            assert container is None
