"""The root file system of a base image, from the host's own package sources, by mmdebstrap.

What the image gets beyond the packages: the host's sources and (unless on loopback) proxy, so that installing packages
works in a machine made from it; an empty machine-id and no host name, so that no two machines share an identity;
policy-rc.d saying no, because machines have no service manager and a package's service started by its own install
script would be a stray process in the image; the directories nodes mount on.
"""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from poolwright.images.aptsources import (
    AptSource,
    distribution_sources,
    host_options,
    reachable_from_elsewhere,
)
from poolwright.images.base import BuildFailed, Progress, UnsupportedImage
from poolwright.images.osrelease import OsRelease
from poolwright.images.programs import missing_packages, run_contained

INCLUDE = ("ca-certificates", "netbase", "procps", "python3-minimal")
"""Beyond minbase: trusted CAs for HTTPS, protocol names, ps and kill, and what most task scripts start with."""
BOOTSTRAP_TIMEOUT_S = 1800.0
NODE_DIRECTORIES = ("mnt/batch", "mnt/disks")
_NEEDED = ("mmdebstrap", "mke2fs", "setpriv", "unshare")
_POLICY = (
    "#!/bin/sh\n# No service manager runs here: installing a package must not start its service.\nexit 101\n"
)
_HOSTS = "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n"
_STAGES = (
    ("running apt-get update", "reading the package lists", 0.05),
    ("downloading packages", "downloading packages", 0.15),
    ("extracting archives", "unpacking packages", 0.40),
    ("installing essential packages", "installing the essential packages", 0.50),
    ("installing remaining packages", "installing the remaining packages", 0.65),
    ("cleaning package lists", "cleaning up", 0.85),
)
"""mmdebstrap's own words for its stages, ours, and about how much of the build is then done."""


@dataclass(frozen=True, slots=True)
class Build:
    """One build under way: whom to tell, the lock to keep, and the event that ends it.

    ``lock_fd`` is handed to the programs started, so the lock lives as long as any of them.
    """

    progress: Progress
    lock_fd: int
    stop: threading.Event


class HostRootfs:
    """Makes the root file system of the release this host runs."""

    def __init__(
        self, release: OsRelease, env: Mapping[str, str] = os.environ, etc_apt: Path = Path("/etc/apt")
    ) -> None:
        self._release, self._env, self._etc_apt = release, env, etc_apt

    def make(self, work: Path, build: Build) -> Path:
        """The directory holding the tree, inside ``work``; raises UnsupportedImage, BuildFailed, NoSpace."""
        sources, options = self._sources(), host_options(self._env)
        root = self._bootstrap(work, build, sources, "minbase", INCLUDE)
        finish_tree(root, sources, tuple(line for line in options if reachable_from_elsewhere(line)))
        return root

    def extract(self, work: Path, build: Build, packages: Sequence[str]) -> Path:
        """These packages and what they depend on, unpacked but not installed; raises as `make`."""
        return self._bootstrap(work, build, self._sources(), "extract", packages)

    def _sources(self) -> tuple[AptSource, ...]:
        self._require()
        sources = distribution_sources(self._release, self._etc_apt)
        if not sources:
            raise UnsupportedImage(
                f"no package source of {self._release.id} {self._release.codename} found in {self._etc_apt}: "
                "the base image is made from the sources the host itself uses"
            )
        return sources

    def _bootstrap(
        self, work: Path, build: Build, sources: Sequence[AptSource], variant: str, include: Sequence[str]
    ) -> Path:
        root, scratch = work / "rootfs", work / "scratch"
        scratch.mkdir()
        mirror, settings = scratch / "distribution.sources", scratch / "apt.conf"
        mirror.write_text("\n".join(source.stanza() for source in sources))
        settings.write_text("".join(line + "\n" for line in host_options(self._env)))
        argv = ["mmdebstrap", "--mode=root", "--format=directory", f"--variant={variant}"]
        argv += [f"--include={','.join(include)}", f"--aptopt={settings}"]
        run_contained(
            [*argv, self._release.codename, str(root), str(mirror)],
            step="mmdebstrap",
            timeout_s=BOOTSTRAP_TIMEOUT_S,
            on_line=lambda line: _report(line, build.progress),
            env={"TMPDIR": str(scratch), **_proxies(self._env)},
            pass_fds=[build.lock_fd],
            stop=build.stop,
        )
        return root

    def _require(self) -> None:
        lacking = []
        if os.geteuid() != 0:
            lacking.append("root rights")
        if packages := missing_packages(_NEEDED):
            lacking.append(f"the packages {' '.join(packages)}")
        if lacking:
            raise UnsupportedImage(
                f"building a base image needs {' and '.join(lacking)}, which this process lacks"
            )


def finish_tree(root: Path, sources: tuple[AptSource, ...], apt_options: tuple[str, ...]) -> None:
    """Turn a bootstrapped tree into a generalized image: no identity of any machine, ready to be a node."""
    for source in sources:
        for file in source.keyring_files:
            if not _inside(root, file).exists() and Path(file).is_file():
                _put(root, file, Path(file).read_bytes(), 0o644)
    # mmdebstrap keeps its options under this name; ours leave out what only works on the host.
    _inside(root, "etc/apt/apt.conf.d/99mmdebstrap").unlink(missing_ok=True)
    if apt_options:
        _put(
            root,
            "etc/apt/apt.conf.d/90host-access",
            "".join(line + "\n" for line in apt_options).encode(),
            0o644,
        )
    _put(root, "usr/sbin/policy-rc.d", _POLICY.encode(), 0o755)
    _put(root, "etc/machine-id", b"", 0o444)
    _put(root, "etc/resolv.conf", b"", 0o644)
    for name in ("var/lib/dbus/machine-id", "etc/hostname", "var/lib/systemd/random-seed"):
        _inside(root, name).unlink(missing_ok=True)
    if not _inside(root, "etc/hosts").exists():
        _put(root, "etc/hosts", _HOSTS.encode(), 0o644)
    for key in (root / "etc/ssh").glob("ssh_host_*"):
        key.unlink()
    for name in NODE_DIRECTORIES:
        directory = _inside(root, name)
        directory.mkdir(mode=0o755, parents=True, exist_ok=True)
        directory.chmod(0o755)
    shutil.rmtree(_inside(root, "var/cache/apt/archives"), ignore_errors=True)
    _inside(root, "var/cache/apt/archives/partial").mkdir(mode=0o755, parents=True)


def _put(root: Path, name: str, data: bytes, mode: int) -> None:
    path = _inside(root, name)
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    fd = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
    with open(fd, "wb") as file:
        os.fchmod(fd, mode)
        file.write(data)


def _inside(root: Path, name: str) -> Path:
    """The path in the tree; its directory must not lead out of the tree by a symbolic link."""
    path = root / name.lstrip("/")
    if not path.parent.resolve().is_relative_to(root.resolve()):
        raise BuildFailed("finishing the tree", f"/{name.lstrip('/')} leads out of the image")
    return path


def _report(line: str, progress: Progress) -> None:
    for words, stage, fraction in _STAGES:
        if words in line:
            progress(stage, fraction)
            return


def _proxies(env: Mapping[str, str]) -> dict[str, str]:
    names = ("http_proxy", "https_proxy", "no_proxy")
    return {name: value for name in names if (value := env.get(name) or env.get(name.upper()))}
