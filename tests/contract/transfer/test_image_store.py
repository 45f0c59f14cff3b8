"""The store of container images: layers of a real registry, unpacked by one who is nobody on the host, kept once."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from poolwright.domain.containers import read_image_name
from poolwright.transfer import images, jobs
from poolwright.transfer.failures import TransferFailed
from poolwright.transfer.image_store import CONFIG, LEFT_S, TREE, ImageStore, boot, image_key
from tests.contract.transfer.test_registry import client, hub, refusal
from tests.support.registry import Registry as Served
from tests.support.registry import layer, registry

__all__ = ["hub"]  # a fixture
pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root: images belong to users of machines")


def shop(tmp_path: Path, bound: int = 1 << 30, kept_free: int = 0) -> ImageStore:
    return ImageStore(tmp_path / "store", tmp_path / "nodes", bound, kept_free)


def pull(hub: Served, store: ImageStore, name: str, marked: str = "") -> tuple[str, int]:
    """(key, bytes that were received) of an image brought into the store, for the machine `marked`."""
    image = read_image_name(f"{hub.server}/{name}")
    made = client(str(image))
    manifest = made.manifest()
    key = image_key(image.server, manifest.digest)
    if marked:
        (store.nodes / marked / "images").mkdir(parents=True, exist_ok=True)
        (store.nodes / marked / "images" / key).touch()
    with store.locked(key) as work:
        if not store.has_image(key):
            images.make(made, manifest, image, store, work)
    assert not list((store.folder / "tmp").iterdir())
    assert store.has_image(key)
    return key, made.received


def about(store: ImageStore, key: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((store.image(key) / CONFIG).read_text())
    return found


def trees(store: ImageStore, key: str) -> list[Path]:
    """Those of an image's layers, lowest first."""
    return [store.layer(layer) / TREE for layer in about(store, key)["layers"]]


@contextmanager
def mounted(lower: Path, upper: Path, tmp_path: Path) -> Iterator[Path]:
    """Two layers as one tree."""
    (tmp_path / "whole").mkdir()
    options = f"lowerdir={upper}:{lower}"
    subprocess.run(["mount", "-t", "overlay", "overlay", "-o", options, tmp_path / "whole"], check=True)
    try:
        yield tmp_path / "whole"
    finally:
        subprocess.run(["umount", tmp_path / "whole"], check=True)


def test_layers_are_laid_one_over_the_other_by_nobody(hub: Served, tmp_path: Path) -> None:
    below = layer({"etc": None, "etc/old": b"old", "etc/kept": b"kept", "bin/su": b"x", "d/f": b""}, 0o4755)
    above = layer({"etc/.wh.old": b"", "etc/new": b"new", "link": "/etc/kept", "d/.wh..wh..opq": b""})
    hub.push("layers/two", [below, above], Cmd=["run"], WorkingDir="/w", Entrypoint=None)
    store = shop(tmp_path)
    key, _ = pull(hub, store, "layers/two")
    for folder in (store.image(key), *(tree.parent for tree in trees(store, key))):
        left = store.folder / "tmp" / folder.name  # by a process that was killed
        (left / "layer" / TREE).mkdir(parents=True)
        (left / "layer0").write_bytes(b"half")
    for tree in trees(store, key):
        (tree.parent / "about.json").write_text('{"boot":"a former one"}')
    key, _ = pull(hub, store, "layers/two")
    lower, upper = trees(store, key)
    with mounted(lower, upper, tmp_path) as tree:
        assert sorted(path.name for path in (tree / "etc").iterdir()) == ["kept", "new"]
        assert (tree / "link").readlink() == Path("/etc/kept")
        assert not list((tree / "d").iterdir())
        assert (tree / "bin/su").stat().st_mode & 0o7777 == 0o4755
        owners = {path.lstat().st_uid for path in [tree, *tree.rglob("*")]}
    assert owners == {100_000}
    found = about(store, key)
    assert (found["command"], found["entrypoint"], found["directory"]) == (["run"], [], "/w")


def test_images_of_one_base_have_it_once(hub: Served, tmp_path: Path) -> None:
    base = layer({"base": os.urandom(1_000_000)})
    for name in ("one", "two", "three"):
        hub.push(f"shared/{name}", [base, layer({name: os.urandom(1000)})])
    hub.push("shared/base", [base])
    store = shop(tmp_path)
    one, first = pull(hub, store, "shared/one")
    alone = store.used()
    two, second = pull(hub, store, "shared/two")
    assert first > len(base) > 900_000
    assert second < 10_000, "the base is there"
    assert store.used() - alone < 50_000
    assert pull(hub, store, "shared/base")[1] == 0
    assert trees(store, one)[0] == trees(store, two)[0]
    (tmp_path / "none").mkdir()
    elsewhere = ImageStore(store.folder, tmp_path / "none", 0)
    elsewhere.collect()
    assert (store.used(), store.images()) == (0, []), "what nobody has goes, with its layers"
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda name: apart(hub, store, f"shared/{name}"), ("one", "two", "three")))
    assert store.used() < alone + 100_000, "also of images pulled at the same time"


def apart(hub: Served, store: ImageStore, name: str) -> None:
    image = read_image_name(f"{hub.server}/{name}")
    made = client(str(image))
    manifest = made.manifest()
    with store.locked(image_key(image.server, manifest.digest)) as work:
        images.make(made, manifest, image, store, work)


def test_no_registry_names_layers_of_another(hub: Served, tmp_path: Path) -> None:
    store = shop(tmp_path)
    secret = layer({"secret": b"1" * 5000})
    hub.push("private/one", [secret])
    pull(hub, store, "private/one")
    with registry(tmp_path / "other") as other:
        other.push("thief/one", [secret])
        assert pull(other, store, "thief/one")[1] == len(secret), "it has to show that it has them"


@pytest.mark.parametrize(
    ("owner", "told"),
    [((65_536, 0), "user 65536"), ((7, 1_000_000), "group 1000000"), ((65_535, 65_535), "")],
)
def test_files_belong_to_users_that_nodes_have(
    hub: Served, tmp_path: Path, owner: tuple[int, int], told: str
) -> None:
    hub.push("owned/one", [layer({"srv": None, "srv/far": b"1"}), layer({"srv/far": b"2"}, owner=owner)])
    store = shop(tmp_path)
    if not told:
        key, _ = pull(hub, store, "owned/one")
        found = (trees(store, key)[1] / "srv/far").stat()
        assert (found.st_uid, found.st_gid) == (165_535, 165_535)
        return
    code, text = refusal(lambda: pull(hub, store, "owned/one"))
    assert code == "ContainerInvalidImage"
    assert f"layer 1 cannot be unpacked: BadLayer: the file 'srv/far' is of the {told}" in text
    assert "0 to 65535" in text


def test_what_is_kept_free_on_the_disk_stays_so(hub: Served, tmp_path: Path) -> None:
    hub.push("room/one", [layer({"f": b"1"})])
    disk = os.statvfs(tmp_path)
    store = shop(tmp_path, kept_free=disk.f_blocks * disk.f_frsize)
    assert refusal(lambda: pull(hub, store, "room/one"))[0] == "DiskFull"


def test_the_store_keeps_its_bound_and_the_longest_unused_goes_first(hub: Served, tmp_path: Path) -> None:
    for name in ("used", "old", "young", "late", "big"):
        size = 3_000_000 if name == "big" else 1_000_000
        hub.push(f"bound/{name}", [layer({name: os.urandom(size)})])
    store = shop(tmp_path, bound=6_500_000)
    used, old, young = (
        pull(hub, store, f"bound/{name}", "m1" if name == "used" else "")[0]
        for name in ("used", "old", "young")
    )
    for seconds, key in ((300, used), (200, old), (100, young)):
        os.utime(store.image(key), (0, time.time() - seconds))
    late, _ = pull(hub, store, "bound/late")
    assert {image.name for image in store.images()} == {used, young, late}
    code, text = refusal(lambda: pull(hub, shop(tmp_path, bound=2_000_000), "bound/big", "m1"))
    assert (code, "of at most 2000000 bytes (--container-images)" in text) == ("DiskFull", True)
    assert [image.name for image in store.images()] == [used], "what a machine has stays"
    bomb = layer({"zeros": bytes(30_000_000)})
    for content in (bomb, zstd(bomb)):
        hub.push("bound/bomb", [content])
        code, text = refusal(lambda: pull(hub, store, "bound/bomb"))
        assert (code, "more than there is room for" in text) == ("DiskFull", True)
    assert store.used() < store.bound


def test_layers_are_also_packed_by_zstd(hub: Served, tmp_path: Path) -> None:
    hub.push("packed/zstd", [zstd(layer({"f": b"1"}))])
    hub.push("packed/broken", [zstd(layer({"f": b"1"}))[:-5]])
    store = shop(tmp_path)
    (tree,) = trees(store, pull(hub, store, "packed/zstd")[0])
    assert (tree / "f").read_bytes() == b"1"
    code, text = refusal(lambda: pull(hub, store, "packed/broken"))
    assert (code, "by zstd" in text) == ("ContainerInvalidImage", True)


def zstd(packed: bytes) -> bytes:
    """A layer packed in the other way."""
    done = subprocess.run(
        ["zstd", "-q", "-c"], input=gzip.decompress(packed), capture_output=True, check=True
    )
    return done.stdout


def test_what_was_received_of_a_pull_that_failed_is_told(hub: Served, tmp_path: Path) -> None:
    good, bad = layer({"f": os.urandom(10_000)}), b"no archive at all"
    hub.push("failed/one", [good, bad])
    with pytest.raises(TransferFailed) as failed:
        pull(hub, shop(tmp_path), "failed/one")
    assert failed.value.bytes == len(good) + len(bad)
    outcome = jobs.told({"kind": "image"}, lambda: _raise(failed.value))
    assert (outcome["code"], outcome["bytes"]) == ("ContainerInvalidImage", len(good) + len(bad))


def _raise(failure: Exception) -> Any:
    raise failure


def test_layers_lead_nowhere_else(hub: Served, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.mkdir()
    store = shop(tmp_path)
    up = layer({"../" * 12 + str(victim)[1:] + "/f": b"x"})
    hub.push("evil/up", [up])
    code, text = refusal(lambda: pull(hub, store, "evil/up"))
    assert (code, "leads upwards" in text) == ("ContainerInvalidImage", True)
    hub.push("evil/link", [layer({"out": str(victim)}), layer({"out/f": b"x"})])
    refusal(lambda: pull(hub, store, "evil/link"))
    hub.push("evil/junk", [b"no archive at all"])
    assert refusal(lambda: pull(hub, store, "evil/junk"))[0] == "ContainerInvalidImage"
    assert not list(victim.iterdir())
    assert not store.images()
    assert not list((store.folder / "tmp").iterdir())


def test_images_that_no_machine_has_go_where_room_is_wanted(hub: Served, tmp_path: Path) -> None:
    hub.push("kept/one", [layer({"f": b"1"})])
    hub.push("kept/two", [layer({"f": b"2"})])
    store = shop(tmp_path)
    one, two = pull(hub, store, "kept/one", "m1")[0], pull(hub, store, "kept/two")[0]
    os.utime(store.image(one), (0, 0))
    left = store.folder / "tmp" / "left"
    (left / "image").mkdir(parents=True)
    os.utime(left, (0, time.time() - LEFT_S - 1))
    store.collect()
    assert {image.name for image in store.images()} == {one, two}
    assert not left.exists()
    assert time.time() - store.image(one).stat().st_mtime < LEFT_S, "it was seen in use"
    replace(store, bound=store.used()).collect(1_000_000)
    assert {image.name for image in store.images()} == {one, two}, "the disk has room, and the bound is kept"
    store.collect(1 << 60)
    assert [image.name for image in store.images()] == [one]
    (store.nodes / "m1" / "images" / one).unlink()
    store.collect(1 << 60)
    assert not store.images()
    assert not list((store.folder / "layers").iterdir())
    assert not list((store.folder / "tmp").iterdir())


def test_an_image_of_a_former_version_counts_and_goes(tmp_path: Path) -> None:
    store = shop(tmp_path)
    with store.locked("x"):
        """Makes its directories."""
    old = store.image("0" * 64)
    (old / "rootfs").mkdir(parents=True)
    (old / CONFIG).write_text(json.dumps({"boot": boot(), "bytes": 5}))
    mark = store.nodes / "m1" / "images" / old.name
    mark.parent.mkdir(parents=True)
    mark.touch()
    store.collect(1 << 60)
    assert (store.used(), store.images()) == (5, [old])
    mark.unlink()
    store.collect(1 << 60)
    assert (store.used(), store.images()) == (0, [])
