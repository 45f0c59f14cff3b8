"""The system programs that Poolwright needs on its host, and how they are brought."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tools.failure import HOST_NOT_READY, Failure

_LISTS = Path("/var/lib/apt/lists")
_SEARCH_PATH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/local/sbin", "/usr/sbin", "/sbin"])
_APT = ("apt-get", "--quiet", "--yes", "-o", "DPkg::Lock::Timeout=300")


@dataclass(frozen=True, slots=True)
class Need:
    """A Debian/Ubuntu `package` that is there when all its `programs` and `files` are."""

    package: str
    programs: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    only_on: str = ""
    """The distribution (`ID` of os-release) that the need is for; empty for all."""
    machine: str = ""
    """The kind of machine (`uname -m`) that the need is for; empty for all."""

    def met(self) -> bool:
        """Whether nothing of the package is missing."""
        there = all(shutil.which(program, path=_SEARCH_PATH) for program in self.programs)
        return there and all(Path(file).exists() for file in self.files)


NEEDS = (
    Need("btrfs-progs", programs=("mkfs.btrfs",)),
    Need("ca-certificates", files=("/etc/ssl/certs/ca-certificates.crt",)),
    Need("e2fsprogs", programs=("mkfs.ext4", "resize2fs", "e2fsck")),
    Need("fdisk", programs=("sfdisk",)),
    Need("gpg", programs=("gpg",)),
    Need("iproute2", programs=("ip",)),
    Need("mmdebstrap", programs=("mmdebstrap",)),
    Need("mount", programs=("mount", "umount", "losetup")),
    Need("qemu-utils", programs=("qemu-img",)),
    Need("nftables", programs=("nft",)),
    Need("openssh-client", programs=("ssh", "ssh-keygen")),
    Need("user-mode-linux", programs=("linux.uml",), only_on="debian", machine="x86_64"),
    Need("util-linux", programs=("unshare", "nsenter", "blkid")),
    Need("zstd", programs=("zstd",)),
    Need(
        "debian-archive-keyring", files=("/usr/share/keyrings/debian-archive-keyring.gpg",), only_on="debian"
    ),
    Need("ubuntu-keyring", files=("/usr/share/keyrings/ubuntu-archive-keyring.gpg",), only_on="ubuntu"),
)


def ensure() -> None:
    """Install what is missing; raises Failure with the one line to type when that takes rights we lack."""
    missing = missing_packages()
    if missing:
        install_or_stop(missing, f"the host lacks {', '.join(missing)}")


def missing_packages() -> list[str]:
    """Names of the packages whose programs or files are not on this host."""
    distribution = os_release().get("ID", "")
    here = [
        need
        for need in NEEDS
        if need.only_on in ("", distribution) and need.machine in ("", platform.machine())
    ]
    return [need.package for need in here if not need.met()]


def os_release() -> dict[str, str]:
    """The fields of /etc/os-release (freedesktop.org os-release); empty where there is none."""
    try:
        text = Path("/etc/os-release").read_text()
    except FileNotFoundError:
        return {}
    pairs = (line.partition("=") for line in text.splitlines() if "=" in line)
    return {name: value.strip().strip("\"'") for name, _, value in pairs}


def install_or_stop(packages: Sequence[str], reason: str) -> None:
    """Install Debian packages when root; otherwise raise Failure with the command for the owner of the host."""
    if shutil.which("apt-get") is None:
        names = " ".join(packages)
        raise Failure(
            f"{reason}. This is not Debian or Ubuntu: install the likes of {names}.", HOST_NOT_READY
        )
    if os.geteuid() != 0:
        raise Failure(f"{reason}. Run this, then try again:\n{sudo_line(packages)}", HOST_NOT_READY)
    print(f"dev: {reason}; installing with apt-get", file=sys.stderr, flush=True)
    if not any(_LISTS.glob("*_Packages*")):
        _apt("update")
    if not _install(packages):
        # The usual cause is a package list older than the mirror's files.
        _apt("update")
        if not _install(packages):
            raise Failure(f"apt-get could not install {' '.join(packages)}", HOST_NOT_READY)


def sudo_line(packages: Sequence[str]) -> str:
    """The one command that installs `packages`."""
    return f"sudo apt-get install --no-install-recommends {' '.join(packages)}"


def _install(packages: Sequence[str]) -> bool:
    return _apt("install", "--no-install-recommends", *packages)


def _apt(*arguments: str) -> bool:
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    done = subprocess.run(
        [*_APT, *arguments], env=environment, stdin=subprocess.DEVNULL, stdout=sys.stderr, check=False
    )
    return done.returncode == 0


def main() -> int:
    """Entry for `python3 -m tools.system_packages`."""
    try:
        ensure()
    except Failure as failure:
        print(f"dev: {failure.message}", file=sys.stderr)
        return failure.code
    return 0


if __name__ == "__main__":
    sys.exit(main())
