"""Programs that nodes are lent, whatever their image has: of this host's own release, made to run in any Linux image.

Packages are unpacked, never installed, so nothing starts on the host. Of them the programs and the libraries they load
are kept. Programs name their loader by an absolute path (PT_INTERP, elf(5)); it is changed to the kit's own,
so that neither the C library of an image nor its absence matters. Built once into the cache of base images.
"""

from __future__ import annotations

import os
import re
import shutil
import struct
import subprocess
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from poolwright.images.base import BuildFailed, UnsupportedImage
from poolwright.images.bases import BUILD_WAIT_S
from poolwright.images.layout import DiskDirectory, remove_tree, wait_for_lock
from poolwright.images.osrelease import OsRelease, parse_os_release
from poolwright.images.programs import environment, full_disk_errors
from poolwright.images.rootfs import Build, HostRootfs

LOADER, LIBRARIES = "ld.so", "lib"
_PT_INTERP = 3
_LINKS_MAX = 10
_LISTED = re.compile(r"(?:=> )?(/\S+) \(0x[0-9a-f]+\)")


@dataclass(frozen=True, slots=True)
class Recipe:
    """What a kit is made of. Whoever sees the first of `programs` sees a whole kit."""

    name: str
    what: str  # in messages
    package: str
    programs: tuple[str, ...]  # paths in the package and what it depends on
    helpers: tuple[str, ...] = ()  # programs that only some releases have
    number: int = 1
    """Raised whenever the way the kit is made changes, so that hosts build it anew."""


LOGIN = Recipe(
    "login-kit",
    "the SSH server for nodes",
    "openssh-server",
    ("usr/sbin/sshd", "usr/bin/ssh-keygen"),
    # Parts of the server that newer releases start as programs of their own.
    ("usr/lib/openssh/sshd-session", "usr/lib/openssh/sshd-auth"),
)
RUNTIME = Recipe("runtime-kit", "the container runtime for nodes", "crun", ("usr/bin/crun",))


class Kit:
    """Makes a kit and puts it into `target`, which machines see at `seen_at`."""

    def __init__(
        self, recipe: Recipe, cache: Path, target: Path, seen_at: str, host_root: Path = Path("/")
    ) -> None:
        self._recipe = recipe
        self._cache, self._target, self._seen_at, self._host = cache, target, seen_at, host_root
        self._main = Path(recipe.programs[0]).name
        self._stop = threading.Event()

    def close(self) -> None:
        """End a running build."""
        self._stop.set()

    @property
    def ready(self) -> bool:
        """Whether machines see it."""
        return (self._target / self._main).exists()

    def bring(self) -> None:
        """See that machines have it: seconds where it is in the cache, else as long as a small download takes.

        Raises UnsupportedImage, BuildFailed or NoSpace.
        """
        if self.ready:
            return
        path = self._host / "etc/os-release"
        release = parse_os_release(path.read_text(errors="replace")) if path.is_file() else None
        if release is None:
            raise UnsupportedImage("this host does not say which release it runs")
        directory = DiskDirectory(self._cache)
        machine = os.uname().machine.replace("_", "-")
        recipe = self._recipe
        name = f"{recipe.name}-{release.id}-{release.codename}-{machine}-{recipe.number}"
        (directory.root / "locks").mkdir(mode=0o700, exist_ok=True)
        lock = os.open(
            directory.root / "locks" / f"{name}.lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600
        )
        try:
            if not wait_for_lock(lock, shared=False, timeout_s=BUILD_WAIT_S):
                raise BuildFailed(f"making {recipe.what}", "another process is still at it")
            if not (directory.root / name).is_dir():
                self._build(directory, name, release, Build(lambda *_: None, lock, self._stop))
        finally:
            os.close(lock)
        self._publish(directory.root / name)

    def _build(self, directory: DiskDirectory, name: str, release: OsRelease, build: Build) -> None:
        work = directory.make_temp(name)
        try:
            with full_disk_errors(f"making {self._recipe.what}", directory.root):
                tree = HostRootfs(release).extract(work, build, (self._recipe.package,))
                kit = work / "kit"
                gather(self._recipe, tree, kit, self._seen_at)
                kit.rename(directory.root / name)
        finally:
            remove_tree(work)

    def _publish(self, kit: Path) -> None:
        """Copy into the directory that machines hold already; the main program last: what shows it is whole."""
        self._target.mkdir(mode=0o755, parents=True, exist_ok=True)
        (self._target / LIBRARIES).mkdir(mode=0o755, exist_ok=True)
        files = [path for path in sorted(kit.rglob("*")) if path.is_file()]
        for path in sorted(files, key=lambda file: file.name == self._main):
            final = self._target / path.relative_to(kit)
            fresh = final.with_name(final.name + ".new")
            shutil.copyfile(path, fresh)
            fresh.chmod(path.stat().st_mode & 0o755)
            fresh.rename(final)


def gather(recipe: Recipe, tree: Path, kit: Path, seen_at: str) -> None:
    """Make the kit of an unpacked tree. Raises BuildFailed when something is not where it is expected."""
    kit.mkdir(mode=0o755)
    (kit / LIBRARIES).mkdir(mode=0o755)
    programs = [tree / program for program in recipe.programs]
    missing = [program for program in programs if not program.exists()]
    if missing:
        text = f"{recipe.package} has no {missing[0].relative_to(tree)}"
        raise BuildFailed(f"making {recipe.what}", text)
    programs += [helper for name in recipe.helpers if (helper := tree / name).exists()]
    loader = _inside(tree, interpreter(programs[0].read_bytes()))
    _copy(loader, kit / LOADER, 0o755)
    for program in programs:
        for library in _libraries(tree, loader, program):
            _copy(library, kit / LIBRARIES / library.name, 0o644)
        changed = with_interpreter(program.read_bytes(), f"{seen_at}/{LOADER}")
        (kit / program.name).write_bytes(changed)
        (kit / program.name).chmod(0o755)


def interpreter(program: bytes) -> str:
    """The path of a program's loader. Raises BuildFailed for what is no dynamic 64-bit ELF program."""
    start, length = _interp(program)
    return program[start : start + length].rstrip(b"\0").decode()


def with_interpreter(program: bytes, path: str) -> bytes:
    """The program with another loader, whose path may not be longer than the old one."""
    start, length = _interp(program)
    wanted = path.encode() + b"\0"
    if len(wanted) > length:
        raise BuildFailed("making programs for nodes", f"the path {path} is longer than {length - 1}")
    return program[:start] + wanted.ljust(length, b"\0") + program[start + length :]


def _interp(program: bytes) -> tuple[int, int]:
    """(offset, length) of the loader's name."""
    if program[:4] == b"\x7fELF" and program[4] == 2 and program[5] == 1:
        (headers,) = struct.unpack_from("<Q", program, 32)
        size, count = struct.unpack_from("<HH", program, 54)
        for index in range(count):
            kind, _, offset, _, _, length = struct.unpack_from("<IIQQQQ", program, headers + index * size)
            if kind == _PT_INTERP:
                return offset, length
    raise BuildFailed("making programs for nodes", "a program is no dynamic 64-bit little-endian ELF file")


def _libraries(tree: Path, loader: Path, program: Path) -> Iterable[Path]:
    """What the program loads, as the tree's own loader finds it there."""
    places = [
        f"{root}/{sub}" for root in (tree / "lib", tree / "usr/lib") for sub in (f"{_triplet(loader)}", "")
    ]
    done = subprocess.run(
        [str(loader), "--library-path", ":".join(places), "--list", str(program)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env=environment(),
        stdin=subprocess.DEVNULL,
    )
    found = [Path(match[1]) for match in _LISTED.finditer(done.stdout)]
    if done.returncode != 0 or "not found" in done.stdout or not found:
        raise BuildFailed(f"listing the libraries of {program.name}", done.stdout + done.stderr)
    return [path for path in found if path.is_relative_to(tree) and path.resolve() != loader.resolve()]


def _triplet(loader: Path) -> str:
    return loader.resolve().parent.name


def _inside(tree: Path, path: str) -> Path:
    """The file a path means when the tree is the root: absolute links start from there."""
    for _ in range(_LINKS_MAX):
        found = tree / path.lstrip("/")
        if not found.parent.resolve().is_relative_to(tree.resolve()):
            break
        if not found.is_symlink():
            if found.is_file():
                return found
            break
        path = str(Path(path).parent / found.readlink())
    raise BuildFailed("making programs for nodes", f"the loader {path} is not in its packages")


def _copy(source: Path, target: Path, mode: int) -> None:
    if not source.resolve().is_file():
        raise BuildFailed("making programs for nodes", f"{source} is no file")
    shutil.copyfile(source, target)
    target.chmod(mode)
