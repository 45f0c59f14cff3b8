"""Container images: layers pulled and unpacked once on a host, shown read-only to each machine that is to have them.

What is kept is image_store.py's. The kernel's overlay tells what a layer changes in those below it while one who is
nobody on the host unpacks it, and makes one tree of an image's layers for a machine.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import requests

from poolwright.agent import syscalls
from poolwright.agent.layout import IMAGES
from poolwright.domain.containers import INVALID_IMAGE, MISC_ERROR, ImageName, read_image_name
from poolwright.images import layers
from poolwright.transfer.apart import MACHINE_BASE, MACHINE_USERS, ApartFailed, as_machine_root, in_namespace
from poolwright.transfer.failures import TransferFailed, disk_errors
from poolwright.transfer.fetching import Patience
from poolwright.transfer.image_store import (
    ABOUT,
    CONFIG,
    TREE,
    UNPACKS,
    ImageStore,
    about_layer,
    boot,
    full,
    image_key,
    layer_keys,
)
from poolwright.transfer.registry import Blob, Manifest, Registry

PARALLEL = 3  # layers at a time
_GROWS = 4  # bytes of a disk that one byte of compressed layers may become, with the layer itself
_ZSTD = b"\x28\xb5\x2f\xfd"
_UNZSTD = ["zstd", "-q", "-d", "-f", "--no-sparse", "-o"]  # holes would pass by the bound of the file's size
_UNZSTD_S = 3600.0
_TAR_BYTES = 1024**2
_PLAIN = "index=off,metacopy=off,redirect_dir=off"  # whatever the kernel's defaults: layers are read by all kernels


def show(order: Mapping[str, Any], http: requests.Session, patience: Patience) -> dict[str, Any]:
    """Have the machine see the image `image` under its key. Raises TransferFailed."""
    image = read_image_name(str(order["image"]))
    namespace = _namespace(int(order["pid"]), int(order["pid_start"]))
    try:
        if _inside(namespace, image, lambda place: "there" if os.path.ismount(place) else ""):
            return {"reused": True, "bytes": 0}
        login = (str(order["username"]), str(order["password"])) if order.get("username") else None
        registry = Registry(http, image, login, patience)
        manifest = registry.manifest()
        key = image_key(image.server, manifest.digest)
        machine = Path(str(order["root"])).parent.absolute()
        store = ImageStore(
            Path(str(order["store"])), machine.parent, int(order["bound"]), int(order["kept_free"])
        )
        with disk_errors(MISC_ERROR, str(image)):
            (machine / "images").mkdir(mode=0o700, exist_ok=True)
            (machine / "images" / key).touch()
        with store.locked(key) as work:
            reused = store.has_image(key)
            if not reused:
                make(registry, manifest, image, store, work)
            os.utime(store.image(key))
            _attach(store, key, work, namespace, image)
        return {"reused": reused, "bytes": registry.received, "digest": manifest.digest}
    finally:
        os.close(namespace)


def _namespace(pid: int, start: int) -> int:
    """The mount namespace of a process, told from a later one with its number by the time of its start."""
    try:
        fd = os.open(f"/proc/{pid}/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
        raw = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        raise TransferFailed(MISC_ERROR, "the machine ended") from None
    if int(raw.rpartition(")")[2].split()[19]) != start:
        os.close(fd)
        raise TransferFailed(MISC_ERROR, "the machine ended")
    return fd


def make(registry: Registry, manifest: Manifest, image: ImageName, store: ImageStore, work: Path) -> None:
    """Pull what the store lacks of an image and put it in place; `work` is the image's locked directory there.
    Raises TransferFailed."""
    try:
        _make(registry, manifest, image, store, work)
    except TransferFailed as failure:
        failure.bytes = registry.received
        raise


def _make(registry: Registry, manifest: Manifest, image: ImageName, store: ImageStore, work: Path) -> None:
    keys = layer_keys(image.server, [layer.digest for layer in manifest.layers])
    with disk_errors(MISC_ERROR, str(image)):
        _empty(work)
        _announce(work, image, keys, 0)
        missing = [number for number, key in enumerate(keys) if not _waited(store, key)]
        total = sum(manifest.layers[number].size for number in missing)
        store.make_room(total * _GROWS)
        if total > store.left() or total * _GROWS > store.free():
            raise full(str(image), total, store)
        _announce(work, image, keys, total)
    config = registry.config(manifest)
    _fetch(registry, {work / f"layer{number}": manifest.layers[number] for number in missing})
    with disk_errors(MISC_ERROR, str(image)):
        (work / UNPACKS).touch()
        for number in missing:
            file = work / f"layer{number}"
            with store.locked(keys[number]) as place:
                if not store.has_layer(keys[number]):
                    _keep_layer(file, image, store, keys[: number + 1], place)
            file.unlink()
        whole = work / "image"
        for folder in (whole, whole / "rootfs"):
            folder.mkdir()
            folder.chmod(0o755)  # whatever this process's umask
        (whole / CONFIG).write_text(json.dumps({**_config(config, manifest), "layers": keys}))
        (whole / CONFIG).chmod(0o644)
        kept = store.image(image_key(image.server, manifest.digest))
        shutil.rmtree(kept, ignore_errors=True)  # of a former boot
        whole.rename(kept)


def _announce(work: Path, image: ImageName, keys: Sequence[str], total: int) -> None:
    """Say which image is made, of which layers: so none of them is taken away any more."""
    fresh = work / f"{ABOUT}.new"
    fresh.write_text(json.dumps({"image": image.key, "layers": keys, "bytes": total}))
    fresh.rename(work / ABOUT)


def _waited(store: ImageStore, key: str) -> bool:
    """Whether a layer is kept; who just makes it, or takes it away, is waited for."""
    with store.locked(key):
        return store.has_layer(key)


def _fetch(registry: Registry, files: Mapping[Path, Blob]) -> None:
    def fetch(item: tuple[Path, Blob]) -> None:
        with item[0].open("w+b") as stream:
            registry.fetch(item[1], stream)

    with ThreadPoolExecutor(PARALLEL) as pool:
        try:
            for _ in pool.map(fetch, files.items()):
                pass
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _keep_layer(file: Path, image: ImageName, store: ImageStore, keys: Sequence[str], place: Path) -> None:
    """Unpack the last of these layers over the others in its locked directory `place`, and put it in place."""
    _empty(place)
    layer, trees = place / "layer", [store.layer(key) / TREE for key in keys[:-1]]
    tree = layer / TREE
    for folder in (layer, tree, place / "work", place / "merged"):
        folder.mkdir(mode=0o755)
    like = trees[-1].stat() if trees else None
    os.chown(tree, like.st_uid if like else MACHINE_BASE, like.st_gid if like else MACHINE_BASE)
    tree.chmod(like.st_mode & 0o7777 if like else 0o755)
    most = max(0, store.make_room(file.stat().st_size * _GROWS))
    _unpack(file, len(keys) - 1, trees, place, most, image)
    (layer / ABOUT).write_text(json.dumps(about_layer(tree)))
    kept = store.layer(keys[-1])
    shutil.rmtree(kept, ignore_errors=True)
    layer.rename(kept)


def _unpack(file: Path, number: int, below: Sequence[Path], place: Path, most: int, image: ImageName) -> None:
    """Lay one layer over those below it, as one who is nobody on the host."""
    with file.open("rb") as opened:
        if opened.read(len(_ZSTD)) == _ZSTD:
            _unzstd(file, image, most)

    def enter() -> None:
        os.chdir(place)
        if below:
            lower = _links(place, below)
            options = f"lowerdir={lower},upperdir=layer/{TREE},workdir=work,{_PLAIN},volatile"
            syscalls.mount("overlay", "merged", "overlay", syscalls.MS_NODEV | syscalls.MS_NOSUID, options)
        os.chdir("merged" if below else f"layer/{TREE}")

    fd = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
    try:
        problem = as_machine_root(lambda: layers.lay(fd, MACHINE_USERS, most), enter)
    except ApartFailed as failure:
        raise TransferFailed(MISC_ERROR, f"{image}: layer {number} cannot be unpacked: {failure}") from None
    finally:
        os.close(fd)
    if problem:
        no_room = any(word in problem for word in ("No space left", "quota", layers.NO_ROOM))
        raise TransferFailed(
            "DiskFull" if no_room else INVALID_IMAGE, f"{image}: layer {number} cannot be unpacked: {problem}"
        )


def _links(place: Path, trees: Sequence[Path]) -> str:
    """Short names for layers, lowest first, below the current directory, and how an overlay is told of them: mount(2)
    takes one page of text."""
    (place / "l").mkdir()
    for number, tree in enumerate(trees):
        (place / "l" / str(number)).symlink_to(tree)
    return ":".join(f"l/{number}" for number in reversed(range(len(trees))))


def _empty(folder: Path) -> None:
    for leftover in folder.iterdir():
        shutil.rmtree(leftover, ignore_errors=True) if leftover.is_dir() else leftover.unlink()


def _unzstd(file: Path, image: ImageName, most: int) -> None:
    plain = file.with_suffix(".tar")
    bound = 2 * most + _TAR_BYTES  # the archive of many small files is larger than they are
    command = ["prlimit", f"--fsize={bound}", *_UNZSTD, str(plain), str(file)]
    try:
        subprocess.run(command, check=True, capture_output=True, timeout=_UNZSTD_S, stdin=subprocess.DEVNULL)
    except (OSError, subprocess.SubprocessError):
        if plain.exists() and plain.stat().st_size >= bound:
            raise TransferFailed("DiskFull", f"{image}: a layer: {layers.NO_ROOM}") from None
        raise TransferFailed(INVALID_IMAGE, f"{image}: a layer cannot be uncompressed by zstd") from None
    plain.rename(file)


def _config(config: Mapping[str, Any], manifest: Manifest) -> dict[str, Any]:
    """What containers are made with of an image's configuration."""
    inner = config.get("config")
    given: Mapping[str, Any] = inner if isinstance(inner, dict) else {}
    return {
        "digest": manifest.digest,
        "boot": boot(),
        "environment": [str(one) for one in given.get("Env") or ()],
        "entrypoint": [str(one) for one in given.get("Entrypoint") or ()],
        "command": [str(one) for one in given.get("Cmd") or ()],
        "directory": "/" + str(given.get("WorkingDir") or "").lstrip("/"),
    }


def _attach(store: ImageStore, key: str, work: Path, namespace: int, image: ImageName) -> None:
    """Show a machine the image: its configuration, and its layers as one read-only tree."""
    kept = store.image(key)
    trees = [store.layer(layer) / TREE for layer in json.loads((kept / CONFIG).read_text())["layers"]]
    held: list[int] = []

    def gather() -> None:
        os.chdir(work)
        if len(trees) > 1:
            shutil.rmtree("l", ignore_errors=True)
            flags = syscalls.MS_RDONLY | syscalls.MS_NODEV | syscalls.MS_NOSUID
            options = f"lowerdir={_links(work, trees)},{_PLAIN}"
            syscalls.mount("overlay", str(kept / "rootfs"), "overlay", flags, options)
        else:
            syscalls.mount(str(trees[0]), str(kept / "rootfs"), "", syscalls.MS_BIND)
        held.append(syscalls.clone_tree(str(kept), recursive=True))
        syscalls.set_mount_attributes(held[0], read_only=True, nodev=True, nosuid=True, recursive=True)

    def put(place: str) -> str:
        syscalls.set_fs_ids(MACHINE_BASE, MACHINE_BASE)
        if os.path.ismount(place):
            return "done"
        os.makedirs(place, mode=0o755, exist_ok=True)
        syscalls.set_fs_ids(0, 0)
        syscalls.attach_tree(held[0], place)
        return "done"

    _inside(namespace, image, put, gather)


def _inside(
    namespace: int, image: ImageName, work: Callable[[str], str], before: Callable[[], None] = lambda: None
) -> str:
    place = f"/{IMAGES}/{image.key}"
    try:
        return in_namespace(namespace, lambda: work(place), before)
    except ApartFailed as failure:
        raise TransferFailed(MISC_ERROR, f"{image}: the machine cannot be given it: {failure}") from None
