"""What on an OS disk will trouble the nodes made from it, told before there are any.

Only ext2/3/4 is looked into, by debugfs and e2fsck, without any mount and without a write. Nothing a disk says is
trusted further than to be a name in a message.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from poolwright.domain.compute import Finding
from poolwright.images.base import Inspection
from poolwright.images.corrector import CACHES, EXTENSION, HISTORIES, LEFTOVERS, PACKAGE, TEMPORARY
from poolwright.images.inspect import EXT
from poolwright.images.programs import read_bounded, run

PROGRAM_TIMEOUT_S = 120.0
CHECK_TIMEOUT_S = 1800.0
FREE_MIN_BYTES = 64 * 1024**2
"""Less room than this in the root file system and tasks that install or log something fail soon."""
_LISTING_BYTES = 256 * 1024
_NAMED_MAX = 5  # names told in one message
_SHELLS = (
    "/bin/sh",
    "/usr/bin/sh",
    "/bin/dash",
    "/usr/bin/dash",
    "/bin/bash",
    "/usr/bin/bash",
    "/bin/busybox",
)
_LOGS = (
    "auth.log",
    "secure",
    "syslog",
    "messages",
    "btmp",
    "wtmp",
    "lastlog",
    "waagent.log",
    "cloud-init.log",
)
_INITS = ("/sbin/init", "/usr/sbin/init", "/lib/systemd/systemd", "/usr/lib/systemd/systemd")
_SECRET = re.compile(
    rb"-----BEGIN [A-Z ]*PRIVATE KEY-----|AccountKey=[A-Za-z0-9+/]{20}|\bsig=[A-Za-z0-9%+/]{20}"
    rb"|(?i:password|passwd|secret|token|api[-_]?key)[\"']?\s*[=:]\s*[\"']?[^\s\"']{6}"
)
"""What looks like a secret: keys in PEM form, storage keys, signed addresses, values given to telling names."""


def lint(path: Path, seen: Inspection) -> tuple[Finding, ...]:
    """Findings on the raw OS disk at `path`, gravest first. Raises BuildFailed, UnsupportedImage."""
    if seen.filesystem is None:
        text = "No file system was found on the OS disk, so no node can start from it."
        return (Finding("NoFileSystem", "error", text, "Install an operating system on ext4, xfs or btrfs."),)
    found = _operating_system(seen)
    if seen.filesystem in EXT:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            found += _Ext(fd, seen.partition_offset).findings()
        finally:
            os.close(fd)
    else:
        text = f"The file system is {seen.filesystem}; only ext2, ext3 and ext4 are looked into."
        found.append(Finding("NotLookedInto", "info", text, "Check the image's contents yourself."))
    return tuple(sorted(found, key=lambda finding: ("error", "warning", "info").index(finding.severity)))


def _operating_system(seen: Inspection) -> list[Finding]:
    if seen.agent_sku is not None:
        return []
    if seen.os_id is None:
        text = "No os-release file says which operating system this is, so no node agent SKU can be matched to it."
        return [
            Finding(
                "UnknownSystem", "warning", text, "Put /usr/lib/os-release in place, as os-release(5) says."
            )
        ]
    text = f"No node agent SKU belongs to {seen.os_pretty or seen.os_id}; pools must name one themselves."
    return [Finding("NoAgentSku", "info", text, "Name the SKU of the nearest supported system in the pool.")]


class _Ext:
    def __init__(self, fd: int, offset: int) -> None:
        self._fd = fd
        self._device = f"/proc/self/fd/{fd}?offset={offset}"

    def findings(self) -> list[Finding]:
        looks = (self._clean, self._space, self._shell, self._identity, self._keys, self._logs, self._history,
                 self._secrets, self._extensions, self._temporary, self._instance, self._caches, self._temporary_files,
                 self._init)  # fmt: skip
        return [finding for look in looks if (finding := look()) is not None]

    def _clean(self) -> Finding | None:
        argv = ["e2fsck", "-n", "-f", self._device]
        # e2fsck(8): 4 = errors were left, which is what -n does with them; 8 and more = it could not look.
        said = run(argv, timeout_s=CHECK_TIMEOUT_S, ok=(0, 4), pass_fds=[self._fd])
        fix = "Stop the machine in order (deallocate) before taking the snapshot, or run e2fsck on the disk."
        if "WARNING: Filesystem still has errors" in said:
            return Finding("FileSystemErrors", "error", "The root file system has errors.", fix)
        if "needs to be recovered" in said or "skipping journal recovery" in said:
            text = "The root file system was not unmounted: its journal holds writes that nodes will not see."
            return Finding("FileSystemNotClean", "warning", text, fix)
        return None

    def _space(self) -> Finding | None:
        numbers = dict(re.findall(r"^(Free blocks|Block size): +(\d+)$", self._ask("stats -h"), re.MULTILINE))
        if len(numbers) < 2:
            return None
        free = int(numbers["Free blocks"]) * int(numbers["Block size"])
        if free >= FREE_MIN_BYTES:
            return None
        text = (
            f"The root file system has {free // 1024**2} MiB free, less than {FREE_MIN_BYTES // 1024**2} MiB."
        )
        return Finding(
            "LittleSpace", "warning", text, "Make the OS disk larger, or remove what is not needed."
        )

    def _shell(self) -> Finding | None:
        if any(self._is_there(name) for name in _SHELLS):
            return None
        text = "There is no shell, so command lines of tasks that use one will fail."
        return Finding("NoShell", "error", text, "Install a shell as /bin/sh.")

    def _identity(self) -> Finding | None:
        text = self._ask("cat /etc/machine-id").strip()
        if not text or text == "uninitialized":
            return None
        why = "/etc/machine-id is set: all nodes would take themselves for one and the same machine."
        return Finding("MachineId", "warning", why, "Empty it: truncate -s 0 /etc/machine-id")

    def _keys(self) -> Finding | None:
        keys = [name for name in self._names("/etc/ssh") if name.startswith("ssh_host_") and "key" in name]
        if not keys:
            return None
        text = f"SSH host keys are in the image ({_some(keys)}): whoever has the image can pose as any node."
        return Finding("HostKeys", "warning", text, "Remove them: rm /etc/ssh/ssh_host_*")

    def _logs(self) -> Finding | None:
        logs = [name for name in self._names("/var/log", full=True) if name in _LOGS]
        logs += [f"journal/{name}" for name in self._names("/var/log/journal")]
        if not logs:
            return None
        text = f"Logs of the source machine are in the image ({_some(logs)}); they may hold secrets."
        return Finding("Logs", "warning", text, "Empty /var/log before capture.")

    def _history(self) -> Finding | None:
        histories = [name for name in self._names("/root", full=True) if name in HISTORIES]
        if not histories:
            return None
        text = f"Command histories of root are in the image ({_some(histories)}); they may hold secrets."
        return Finding("Histories", "warning", text, "Remove them from the home directory of root.")

    def _extensions(self) -> Finding | None:
        folders = [name for name in self._names("/var/lib/waagent") if EXTENSION.match(name)]
        if not folders:
            return None
        text = f"Virtual machine extensions are installed ({_some(folders)}); their agents disturb nodes."
        return Finding("Extensions", "warning", text, "Remove the extensions, then /var/lib/waagent.")

    def _temporary(self) -> Finding | None:
        for line in self._ask("cat /etc/fstab").splitlines():
            words = line.split()
            if len(words) >= 3 and not words[0].startswith("#") and words[1].rstrip("/") in TEMPORARY:
                text = (
                    f"/etc/fstab mounts something at {words[1][:80]}, where nodes keep their temporary disk."
                )
                return Finding("TemporaryDrive", "warning", text, "Remove that line from /etc/fstab.")
        return None

    def _secrets(self) -> Finding | None:
        holding = [
            name for name in self._names("/var/log", full=True) if self._has_secret(f"/var/log/{name}")
        ]
        if not holding:
            return None
        text = f"Logs hold what looks like passwords, keys or tokens ({_some(holding)})."
        return Finding("SecretsInLogs", "warning", text, "Empty the logs, and change what was in them.")

    def _has_secret(self, name: str) -> bool:
        if re.search(r"[\s\"']", name):
            return False
        argv = ["debugfs", "-R", f"cat {name}", self._device]
        raw = read_bounded(argv, limit=_LISTING_BYTES, timeout_s=PROGRAM_TIMEOUT_S, pass_fds=[self._fd])
        return _SECRET.search(raw) is not None

    def _instance(self) -> Finding | None:
        left = [name for name in LEFTOVERS if self._is_there(name)]
        if not left:
            return None
        text = f"The image remembers the machine it was made on ({_some(left)})."
        return Finding("InstanceData", "info", text, f"Remove it: rm -rf {' '.join(left)}")

    def _caches(self) -> Finding | None:
        held = [
            f"{folder}/{name}" for folder in CACHES for name in self._names(folder) if PACKAGE.match(name)
        ]
        if not held:
            return None
        text = f"Fetched packages are in the image ({_some(held)}); nodes do not need them."
        return Finding("PackageCaches", "info", text, "Remove them: apt-get clean, or dnf clean all")

    def _temporary_files(self) -> Finding | None:
        folders = ("/tmp", "/var/tmp")  # noqa: S108 - those of the image
        left = [f"{folder}/{name}" for folder in folders for name in self._names(folder)]
        if not left:
            return None
        text = f"Temporary files of the source machine are in the image ({_some(left)})."
        return Finding("TemporaryFiles", "info", text, "Remove what is in /tmp and /var/tmp.")

    def _init(self) -> Finding | None:
        if any(self._is_there(name) for name in _INITS):
            return None
        text = "There is no init program. Sandbox nodes need none; a virtual machine could not start from this disk."
        return Finding("NoInit", "info", text, "Install one (systemd-sysv, say) if it is to start by itself.")

    def _ask(self, request: str) -> str:
        argv = ["debugfs", "-R", request, self._device]
        raw = read_bounded(argv, limit=_LISTING_BYTES, timeout_s=PROGRAM_TIMEOUT_S, pass_fds=[self._fd])
        return raw.decode(errors="replace")

    def _is_there(self, name: str) -> bool:
        return self._ask(f"stat {name}").startswith("Inode:")

    def _names(self, directory: str, *, full: bool = False) -> list[str]:
        """What is in a directory; with `full` only files that are not empty."""
        found = []
        for line in self._ask(f"ls -p {directory}").splitlines():
            fields = line.split("/")  # /inode/mode/uid/gid/name/size/
            if len(fields) < 7 or fields[5] in (".", ".."):
                continue
            if not full or fields[6] not in ("", "0"):
                found.append(fields[5])
        return found


def _some(names: Sequence[str]) -> str:
    told = ", ".join(name[:80] for name in sorted(names)[:_NAMED_MAX])
    told = "".join(letter if letter.isprintable() else "?" for letter in told)
    return f"{told} and {len(names) - _NAMED_MAX} more" if len(names) > _NAMED_MAX else told
