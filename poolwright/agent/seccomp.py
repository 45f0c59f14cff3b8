"""What processes of containers may not ask of the kernel, as the runtime is told (OCI runtime specification,
"linux.seccomp"). Standard library only.

A list of what is refused: whatever else a kernel offers goes on working, and a name that the kernel or the runtime's
library does not know is passed over. Refused is what no program in a container needs and what breaches of containers
were made of: mounts and namespaces (with a user namespace of its own any process is root over more of the kernel's
code than it is otherwise), keys, programs in the kernel, modules, the host's clock and memory, io_uring, and tracing
processes that are not one's own children. Rights decide everything else, as ever.
"""

from __future__ import annotations

import errno
import os
from typing import Any

#: Refused whatever their arguments are.
REFUSED = (
    # mounts
    "fsconfig fsmount fsopen fspick mount mount_setattr move_mount open_tree open_tree_attr pivot_root umount umount2 "
    # namespaces
    "setns unshare "
    # keys
    "add_key keyctl request_key "
    # programs in the kernel, its counters, its modules
    "bpf create_module delete_module finit_module get_kernel_syms init_module lookup_dcookie perf_event_open "
    "query_module "
    # another kernel, the machine as a whole
    "acct clock_settime clock_settime64 ioperm iopl kexec_file_load kexec_load nfsservctl quotactl quotactl_fd reboot "
    "setdomainname sethostname settimeofday stime swapoff swapon syslog vhangup "
    # files past their directories, the doings of others
    "fanotify_init kcmp open_by_handle_at "
    # faults handled outside of the kernel, rings of requests
    "io_uring_enter io_uring_register io_uring_setup userfaultfd "
    # long out of use
    "_sysctl sysfs uselib ustat vm86 vm86old"
).split()
_ARCHITECTURES = {
    "x86_64": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"],
    "aarch64": ["SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"],
}
#: clone(2): cgroup, uts, ipc, user, pid, net and mount namespaces; time is none of clone's.
_NAMESPACES = (0x0200_0000, 0x0400_0000, 0x0800_0000, 0x1000_0000, 0x2000_0000, 0x4000_0000, 0x0002_0000)
_PTRACE_ATTACH, _PTRACE_SEIZE = 16, 0x4206


def profile(machine: str = "") -> dict[str, Any]:
    """The profile for this kind of processor."""
    refusals = [_refuse(REFUSED)]
    refusals += [_refuse(["clone"], _argument(0, flag, "SCMP_CMP_MASKED_EQ", flag)) for flag in _NAMESPACES]
    # Its arguments cannot be seen: who is told that there is none asks clone(2).
    refusals.append(_refuse(["clone3"], number=errno.ENOSYS))
    refusals += [
        _refuse(["ptrace"], _argument(0, request, "SCMP_CMP_EQ"))
        for request in (_PTRACE_ATTACH, _PTRACE_SEIZE)
    ]
    found: dict[str, Any] = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": refusals}
    architectures = _ARCHITECTURES.get(machine or os.uname().machine)
    if architectures is not None:  # without them only calls of the processor's own kind are made at all
        found["architectures"] = architectures
    return found


def _refuse(names: list[str], *arguments: dict[str, Any], number: int = errno.EPERM) -> dict[str, Any]:
    found = {"names": names, "action": "SCMP_ACT_ERRNO", "errnoRet": number}
    return {**found, "args": list(arguments)} if arguments else found


def _argument(index: int, value: int, operator: str, second: int = 0) -> dict[str, Any]:
    return {"index": index, "value": value, "valueTwo": second, "op": operator}
