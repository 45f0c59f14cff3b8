"""The first process of a guest (see guest.py): loads modules, serves NFS to itself, runs a program, halts.

Standard library only: it runs before anything else does. The server is the guest kernel's own; what its tools would
tell it is written to its channels directly (kernel: Documentation/filesystems/nfs/rpc-cache.rst, fs/nfsd/export.c).
"""

from __future__ import annotations

import base64
import ctypes
import json
import os
import subprocess
import sys
import traceback
from pathlib import Path

EXPORT = "127.0.0.1:/"
ENDED = "guest: the program ended with "
SCRATCH = "/run/scratch"
_DIRECTORY = "/run/export"
_MODULES = (
    "nfsv3", "nfsv4", "nfsd", "overlay", "loop", "veth", "nf_tables", "nf_nat",
    "nft_ct", "nft_masq", "nft_reject", "nft_redir",
)  # fmt: skip
_NEVER = 2**31 - 1
_FLAGS = 0x2 | 0x10 | 0x400 | 0x2000
"""Any port, asynchronous, no look at the directories above, told by number (include/uapi/linux/nfsd/export.h)."""
_POWER_OFF = 0x4321FEDC
_FINIT_MODULE = 313
_libc = ctypes.CDLL(None, use_errno=True)


def mount(kind: str, target: str) -> None:
    """Mount a file system without a source. Raises OSError."""
    if _libc.mount(kind.encode(), target.encode(), kind.encode(), 0, None):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), target)


def load(names: tuple[str, ...]) -> None:
    """Load modules of the guest's kernel and what they need; one it does not have is left out."""
    base = Path("/usr/lib/uml/modules") / os.uname().release
    needs = {}
    for line in (base / "modules.dep").read_text().splitlines():
        path, _, others = line.partition(":")
        needs[Path(path).stem] = [*reversed(others.split()), path]
    for path in dict.fromkeys(path for name in names for path in needs.get(name, ())):
        fd = os.open(base / path, os.O_RDONLY)
        _libc.syscall(_FINIT_MODULE, fd, b"", 0)
        os.close(fd)


def serve_nfs() -> None:
    """Serve `_DIRECTORY` to this guest by NFS 4, whoever writes to it."""
    Path(_DIRECTORY).mkdir()
    Path(_DIRECTORY).chmod(0o777)
    mount("nfsd", "/proc/fs/nfsd")
    for channel, words in (
        ("auth.unix.ip", f"nfsd 127.0.0.1 {_NEVER} guest"),
        ("nfsd.export", f"guest {_DIRECTORY} {_NEVER} {_FLAGS} 65534 65534 0"),
        ("nfsd.fh", f"guest 1 \\x00000000 {_NEVER} {_DIRECTORY}"),
    ):
        Path(f"/proc/net/rpc/{channel}/channel").write_text(f"{words}\n")
    server = Path("/proc/fs/nfsd")
    for name, words in (
        ("versions", "-3 +4 +4.1 +4.2"),
        ("nfsv4leasetime", "10"),
        ("nfsv4gracetime", "10"),
        ("portlist", "tcp 2049"),
        ("threads", "2"),
    ):
        (server / name).write_text(f"{words}\n")


def main(root: str, *words: str) -> int:
    """Prepare the guest and run the program; its exit code."""
    for kind, target in (("proc", "/proc"), ("sysfs", "/sys"), ("tmpfs", "/run")):
        mount(kind, target)
    Path(SCRATCH).mkdir()  # not /tmp, below which the checkout or its Python may be
    path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    os.environ.update(PATH=path, HOME=SCRATCH, TMPDIR=SCRATCH)
    load(_MODULES)
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    serve_nfs()
    os.chdir(root)
    return subprocess.run(words, check=False).returncode


if __name__ == "__main__":
    code = -1
    try:
        code = main(*json.loads(base64.urlsafe_b64decode(sys.argv[1])))
    except BaseException:  # noqa: BLE001 - said, and the guest halts whatever it was
        traceback.print_exc()
    print(f"{ENDED}{code}", flush=True)
    os.sync()
    _libc.reboot(_POWER_OFF)
