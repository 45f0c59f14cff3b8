"""Container images: pulled and unpacked once on a host, shown read-only to each machine that is to have them.

The store holds `images/<digest>/` (`rootfs/`, owned by machines' users, and `config.json`) and `tmp/<digest>/` while
one is made. A machine's directory has a mark for each image it was shown, made before the image is looked for; what
has no mark may be collected (serve/container_images.py), under the same lock.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
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
from poolwright.transfer.registry import Manifest, Registry

ABOUT = "about.json"  # beside the layers of an image while it is pulled: its key and how many bytes they have
PARALLEL = 3  # layers at a time
_GROWS = 4  # bytes of a disk that one byte of compressed layers may become, with the layer itself
_ZSTD = b"\x28\xb5\x2f\xfd"
_UNZSTD_S = 3600.0
_BOOT = Path("/proc/sys/kernel/random/boot_id")


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
        name = manifest.digest.partition(":")[2]
        store = Path(str(order["store"]))
        marks = Path(str(order["root"])).parent / "images"
        with disk_errors(MISC_ERROR, str(image)):
            marks.mkdir(mode=0o700, exist_ok=True)
            (marks / name).touch()
        with locked(store, name) as work:
            kept = store / "images" / name
            pulled = 0
            if not _is_whole(kept):
                shutil.rmtree(kept, ignore_errors=True)
                pulled = make(registry, manifest, image, work, kept, int(order["kept_free"]))
            os.utime(kept)
            _attach(kept, namespace, image)
        return {"reused": not pulled, "bytes": pulled, "digest": manifest.digest}
    finally:
        os.close(namespace)


def progress(store: Path, image: ImageName) -> tuple[int, int] | None:
    """(bytes of layers that are there, bytes of all) of an image being pulled; None when it is not, or is unpacked."""
    for work in (store / "tmp").glob("*"):
        try:
            about = json.loads((work / ABOUT).read_text())
            if about["image"] == image.key and not (work / "image").exists():
                return sum(layer.stat().st_size for layer in work.glob("layer*")), int(about["bytes"])
        except (OSError, ValueError, KeyError):
            continue  # it ended, or is about to begin
    return None


@contextlib.contextmanager
def locked(store: Path, name: str) -> Iterator[Path]:
    """The directory in which an image is made, held by one process at a time; gone afterwards."""
    work = store / "tmp" / name
    with disk_errors(MISC_ERROR, "the store of images"):
        for folder in ("images", "tmp"):
            (store / folder).mkdir(mode=0o700, parents=True, exist_ok=True)
        fd = _lock(work)
    try:
        yield work
    finally:
        shutil.rmtree(work, ignore_errors=True)
        os.close(fd)


def _lock(work: Path) -> int:
    while True:
        work.mkdir(mode=0o700, exist_ok=True)
        try:
            fd = os.open(work, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError:
            continue
        fcntl.flock(fd, fcntl.LOCK_EX)
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(fd), work.stat()):
                return fd
        os.close(fd)  # it was removed by who had it before


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


def make(
    registry: Registry, manifest: Manifest, image: ImageName, work: Path, kept: Path, kept_free: int = 0
) -> int:
    """Pull and unpack an image in the directory `work`, and put it in place at `kept`; returns the bytes of its layers.
    `kept_free` bytes of the disk are for others. Raises TransferFailed."""
    total = sum(layer.size for layer in manifest.layers)
    space = os.statvfs(work)
    if total * _GROWS > space.f_bavail * space.f_frsize - kept_free:
        text = f"{image}: its layers have {total} bytes, for which the host's disk may not have room unpacked"
        raise TransferFailed("DiskFull", text)
    for leftover in work.iterdir():
        shutil.rmtree(leftover, ignore_errors=True) if leftover.is_dir() else leftover.unlink()
    (work / ABOUT).write_text(json.dumps({"image": image.key, "bytes": total}))
    config = registry.config(manifest)
    files = [work / f"layer{number}" for number in range(len(manifest.layers))]

    def fetch(number: int) -> None:
        with files[number].open("w+b") as stream:
            registry.fetch(manifest.layers[number], stream)

    with ThreadPoolExecutor(PARALLEL) as pool:
        try:
            for _ in pool.map(fetch, range(len(files))):
                pass
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    whole = work / "image"
    tree = whole / "rootfs"
    with disk_errors(MISC_ERROR, str(image)):
        for folder in (whole, tree):
            folder.mkdir()
            folder.chmod(0o755)  # whatever this process's umask
        os.chown(tree, MACHINE_BASE, MACHINE_BASE)
        for number, file in enumerate(files):
            _unpack(file, number, tree, image)
            file.unlink()
        about = {**_config(config, manifest), "bytes": _bytes(tree)}
        (whole / "config.json").write_text(json.dumps(about))
        (whole / "config.json").chmod(0o644)
        whole.rename(kept)
    return total


def _unpack(file: Path, number: int, tree: Path, image: ImageName) -> None:
    """Lay one layer over the tree, as one who is nobody on the host."""
    with file.open("rb") as opened:
        if opened.read(len(_ZSTD)) == _ZSTD:
            _unzstd(file, image)

    def work() -> str:
        os.fchdir(folder)
        return layers.lay(fd, MACHINE_USERS)

    fd = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
    folder = os.open(tree, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        problem = as_machine_root(work)
    except ApartFailed as failure:
        raise TransferFailed(MISC_ERROR, f"{image}: layer {number} cannot be unpacked: {failure}") from None
    finally:
        os.close(fd)
        os.close(folder)
    if problem:
        full = "No space left" in problem or "quota" in problem
        raise TransferFailed(
            "DiskFull" if full else INVALID_IMAGE, f"{image}: layer {number} cannot be unpacked: {problem}"
        )


def _unzstd(file: Path, image: ImageName) -> None:
    plain = file.with_suffix(".tar")
    command = ["zstd", "-q", "-d", "-f", "-o", str(plain), str(file)]
    try:
        subprocess.run(command, check=True, capture_output=True, timeout=_UNZSTD_S, stdin=subprocess.DEVNULL)
    except (OSError, subprocess.SubprocessError):
        raise TransferFailed(INVALID_IMAGE, f"{image}: a layer cannot be uncompressed by zstd") from None
    plain.rename(file)


def _config(config: Mapping[str, Any], manifest: Manifest) -> dict[str, Any]:
    """What containers are made with of an image's configuration."""
    inner = config.get("config")
    given: Mapping[str, Any] = inner if isinstance(inner, dict) else {}
    return {
        "digest": manifest.digest,
        "boot": _BOOT.read_text(),
        "environment": [str(one) for one in given.get("Env") or ()],
        "entrypoint": [str(one) for one in given.get("Entrypoint") or ()],
        "command": [str(one) for one in given.get("Cmd") or ()],
        "directory": "/" + str(given.get("WorkingDir") or "").lstrip("/"),
    }


def _bytes(tree: Path) -> int:
    """What the files below a directory hold; a file of several names once."""
    found: dict[int, int] = {}
    for folder, _, names in os.walk(tree):
        for name in names:
            about = os.lstat(f"{folder}/{name}")
            found[about.st_ino] = about.st_size
    return sum(found.values())


def _is_whole(kept: Path) -> bool:
    """Whether it was made in the present boot: after a crash of the host files may have lost their ends."""
    try:
        found = json.loads((kept / "config.json").read_text())
    except (FileNotFoundError, ValueError):
        return False
    return isinstance(found, dict) and found.get("boot") == _BOOT.read_text()


def _attach(kept: Path, namespace: int, image: ImageName) -> None:
    tree = syscalls.clone_tree(str(kept))
    try:
        syscalls.set_mount_attributes(tree, read_only=True, nodev=True, nosuid=True)

        def put(place: str) -> str:
            syscalls.set_fs_ids(MACHINE_BASE, MACHINE_BASE)
            if os.path.ismount(place):
                return "done"
            os.makedirs(place, mode=0o755, exist_ok=True)
            syscalls.set_fs_ids(0, 0)
            syscalls.attach_tree(tree, place)
            return "done"

        _inside(namespace, image, put)
    finally:
        os.close(tree)


def _inside(namespace: int, image: ImageName, work: Any) -> str:
    place = f"/{IMAGES}/{image.key}"
    try:
        return in_namespace(namespace, lambda: str(work(place)))
    except ApartFailed as failure:
        raise TransferFailed(MISC_ERROR, f"{image}: the machine cannot be given it: {failure}") from None
