"""The birth of one machine: from a forked copy of the zygote to a process with id 1 in namespaces of its own.

Two processes take part. The *builder* (host root) makes namespaces and mounts, forks the *first process* of the
new process namespace, gives it its user ids and ends. They report to the host agent over `channel`:
`{"builder":n}`, `{"step":"netns"}` (a link may be laid now; answered by `{"link":bool}`),
`{"pid":n,"phases":{phase:ms},"troubles":[...]}`, `{"ready":{phase:ms},"notes":[text]}` (answered by `{"go":true}`) or
`{"error":text,"phase":name}`, with `"refused":true` when another try would end the same way. A missing report is a
failure too, so nothing needs to be undone here: namespaces, mounts and devices end with the two processes;
directories and groups are removed by the host agent.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from poolwright.agent import accounts, certificates, rusage, syscalls
from poolwright.agent.layout import CERTIFICATES, DISKS, NODE_ROOT
from poolwright.engines.sandbox.host import cgroups, idmap, network, owndisks, places, rootfs

# linux/capability.h: what a machine's root keeps is what package installation, services and debuggers need.
_KEPT_CAPABILITIES = frozenset(
    {0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 12, 13, 14, 15, 18, 19, 23, 24, 27, 28, 29, 31}
)
_CAPABILITIES = 64
_MESSAGE_BYTES = 65_536
_LAYER = "layer"  # below the machine's directory: where a bounded upper layer is mounted
_NAMESPACES = (
    syscalls.CLONE_NEWNS
    | syscalls.CLONE_NEWUTS
    | syscalls.CLONE_NEWIPC
    | syscalls.CLONE_NEWPID
    | syscalls.CLONE_NEWNET
)


@dataclass
class Plan:
    """Everything a birth needs; paths are relative to the host agent's current directory."""

    name: str
    kind: str
    hostname: str
    directory: str  # of the machine: upper, work, temp
    scratch: str  # a directory to mount on while building
    devices: str  # the shared device directory
    kits: dict[str, str]  # place in a node -> shared directory of programs that nodes are lent
    socket_path: str
    os_mount: str | None = None  # lower directory of a node
    os_tree: int | None = None  # detached mount of a build machine's own disk
    disk_mounts: dict[int, str] = field(default_factory=dict)  # lun -> lower directory
    disk_trees: dict[int, int] = field(default_factory=dict)  # lun -> detached mount
    own_disks: list[dict[str, Any]] = field(
        default_factory=list
    )  # lun (None: the root's upper layer), path, size
    mounts: list[dict[str, Any]] = field(default_factory=list)  # places below the node's mounts directory
    groups: tuple[str, ...] = ()
    link: network.Link | None = None
    resolver: str = ""
    config: dict[str, Any] = field(default_factory=dict)  # for the first process
    accounts: list[dict[str, Any]] = field(default_factory=list)  # of the pool, with their secrets
    certificates: list[dict[str, Any]] = field(default_factory=list)  # likewise
    packages: list[str] = field(default_factory=list)  # directories of application packages that stay


# Between builder and first process: the tree stands (with a link or alone), own user namespace, ids are written.
_LINKED, _ALONE, _UNSHARED, _MAPPED = b"l", b"a", b"u", b"m"

FirstProcess = Callable[[socket.socket, dict[str, Any]], None]


class _Phases:
    def __init__(self) -> None:
        self.name = "wait"
        self.ms: dict[str, float] = {}
        self._since = time.monotonic()

    def enter(self, name: str) -> None:
        now = time.monotonic()
        self.ms[self.name] = round((now - self._since) * 1e3, 3)
        self.name, self._since = name, now


def run_builder(plan: Plan, channel: socket.socket, first_process: FirstProcess) -> None:
    """Body of the builder, forked from the zygote. Never returns."""
    phases = _Phases()
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.setsid()
        _report(channel, {"builder": os.getpid()})
        _build(plan, channel, phases, first_process)
    except BaseException as failure:  # noqa: BLE001 - the process ends here; the report is all that can be done
        _report(channel, {"error": f"{type(failure).__name__}: {failure}", "phase": phases.name})
    finally:
        os._exit(0)


def _build(plan: Plan, channel: socket.socket, phases: _Phases, first_process: FirstProcess) -> None:
    phases.enter("groups")
    cgroups.join(plan.groups)
    phases.enter("places")
    lent = places.gather(plan.mounts, plan.scratch)
    there = {place.path for place in lent if place.tree is not None}
    plan.config["watch"]["mounts"] = [one for one in plan.config["watch"]["mounts"] if one["name"] in there]
    phases.enter("namespaces")
    proc = os.open("/proc", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    syscalls.unshare(_NAMESPACES)
    _report(channel, {"step": "netns"})
    child, first = _fork_first(plan, channel, first_process, [proc, *(place.tree for place in lent)])
    phases.enter("mounts")
    trees = _detach_trees(plan)
    _enter_root(plan)
    syscalls.set_hostname(plan.hostname)
    syscalls.set_fs_ids(idmap.HOST_BASE, idmap.HOST_BASE)
    rootfs.mount_kernel_trees(trees.pop("dev"))
    for target, fd in trees.items():
        rootfs.directory(target)
        syscalls.attach_tree(fd, "/" + target)
        os.close(fd)
    rootfs.directory("/proc")
    if plan.kind == "node":
        rootfs.mount_certificates("/" + CERTIFICATES)
    troubles = places.attach(lent)
    syscalls.set_fs_ids(0, 0)
    phases.enter("network")
    linked = _await_answer(channel)["link"]
    network.configure_inside(plan.link if linked else None)
    network.free_low_ports(proc)
    phases.enter("identity")
    first.send(_LINKED if linked else _ALONE)
    if first.recv(1) == _UNSHARED:
        idmap.write_maps(proc, child)
        phases.enter("end")
        _report(channel, {"pid": child, "phases": phases.ms, "troubles": troubles})
        first.send(_MAPPED)


def forget_host_agent(keep: set[int]) -> None:
    """After a fork: no signal handler, no descriptor but those to `keep`, no terminal, no name of the host agent."""
    signal.set_wakeup_fd(-1)
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP, signal.SIGPIPE, signal.SIGXFSZ}:
        signal.signal(number, signal.SIG_DFL)  # whatever the service was started with is nothing for tasks
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    low = 3
    for fd in sorted(keep):
        os.closerange(low, fd)
        low = fd + 1
    os.closerange(low, os.sysconf("SC_OPEN_MAX"))
    null = os.open("/dev/null", os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(null, fd)
    os.close(null)
    gc.freeze()  # objects of the host agent must not close descriptors that are other files by now
    syscalls.hide_arguments("poolwright-node")
    os.setsid()
    os.umask(0o022)


def _listen(path: str) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    if os.path.lexists(path):
        os.unlink(path)
    listener.bind(path)
    os.chmod(path, 0o600)
    listener.listen(4)
    return listener


def _detach_trees(plan: Plan) -> dict[str, int]:
    """Mounts of the machine besides its root, by target, as descriptors that survive the change of root."""
    trees = {"dev": syscalls.clone_tree(plan.devices)}
    if plan.kind == "node":
        trees[NODE_ROOT] = syscalls.clone_tree(os.path.join(plan.directory, "temp"))
        syscalls.set_mount_attributes(trees[NODE_ROOT], nodev=True, nosuid=True)
        for place, shared in plan.kits.items():
            trees[place] = syscalls.clone_tree(shared)
            syscalls.set_mount_attributes(trees[place], read_only=True, nodev=True, nosuid=True)
    for lun, lower in plan.disk_mounts.items():
        _mount_overlay(plan, lower, f"lun{lun}-")
        trees[f"{DISKS}/lun{lun}"] = syscalls.clone_tree(plan.scratch)
        syscalls.umount(plan.scratch, syscalls.MNT_DETACH)
    for lun, tree in plan.disk_trees.items():
        trees[f"{DISKS}/lun{lun}"] = tree
    for disk in plan.own_disks:
        if disk["lun"] is not None:
            owndisks.mount(disk, plan.scratch)
            trees[f"{DISKS}/lun{disk['lun']}"] = syscalls.clone_tree(plan.scratch)
            syscalls.umount(plan.scratch, syscalls.MNT_DETACH)
    return trees


def _mount_overlay(plan: Plan, lower: str, prefix: str) -> None:
    upper, work = (os.path.join(plan.directory, prefix + part) for part in ("upper", "work"))
    if not os.path.isdir(upper):
        like, unfinished = os.stat(lower), upper + ".new"
        os.makedirs(unfinished, exist_ok=True)
        os.chown(unfinished, like.st_uid, like.st_gid)
        os.chmod(unfinished, like.st_mode & 0o7777)
        os.rename(unfinished, upper)  # a builder that is cut off leaves no root directory of another owner
    os.makedirs(work, exist_ok=True)
    options = f"lowerdir={lower},upperdir={upper},workdir={work}"
    syscalls.mount("overlay", plan.scratch, "overlay", syscalls.MS_NODEV, options)


def _enter_root(plan: Plan) -> None:
    if plan.os_tree is not None:
        syscalls.attach_tree(plan.os_tree, plan.scratch)
        os.close(plan.os_tree)
    elif plan.os_mount is not None:
        bounded = next((disk for disk in plan.own_disks if disk["lun"] is None), None)
        if bounded is not None:  # reached by the overlay only; goes with the old root
            layer = os.path.join(plan.directory, _LAYER)
            os.makedirs(layer, exist_ok=True)
            owndisks.mount(bounded, layer)
        _mount_overlay(plan, plan.os_mount, "" if bounded is None else _LAYER + "/")
    os.chdir(plan.scratch)
    syscalls.pivot_root_here()


def _fork_first(
    plan: Plan, channel: socket.socket, first_process: FirstProcess, held: list[int | None]
) -> tuple[int, socket.socket]:
    """Fork the first process before anything else is done: memory the builder writes to is not the machine's then.

    It has the builder's namespaces, so what the builder mounts and its change of root reach it too (pivot_root(2)).
    """
    builder_side, first_side = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    listener = _listen(plan.socket_path)
    child = os.fork()
    if child == 0:
        builder_side.close()
        for fd in (*held, plan.os_tree, *plan.disk_trees.values()):
            if fd is not None:
                os.close(fd)
        _be_first(plan, channel, first_process, listener, first_side)
    first_side.close()
    listener.close()
    return child, builder_side


def _be_first(
    plan: Plan,
    channel: socket.socket,
    first_process: FirstProcess,
    listener: socket.socket,
    builder: socket.socket,
) -> None:
    phases = _Phases()
    try:
        address = plan.link.address if _hear(builder, _LINKED, _ALONE) == _LINKED and plan.link else None
        os.chdir("/")
        rootfs.mount_proc()
        plan.config["own_io"] = rusage.open_own()
        syscalls.unshare(syscalls.CLONE_NEWUSER | syscalls.CLONE_NEWNS)
        builder.send(_UNSHARED)
        _hear(builder, _MAPPED)
        builder.close()
        os.setgroups([])
        os.setresgid(0, 0, 0)
        os.setresuid(0, 0, 0)
        for number in range(_CAPABILITIES):
            if number not in _KEPT_CAPABILITIES and not syscalls.drop_bounding_capability(number):
                break
        syscalls.set_not_dumpable()
        phases.enter("files")
        host = plan.link.gateway if address and plan.link else None
        rootfs.write_identity(plan.hostname, address, host, plan.resolver)
        notes: list[str] = []
        if plan.kind == "node":
            rootfs.add_accounts()
            notes = accounts.ensure(plan.accounts)
            plan.accounts.clear()
            certificates.write("/" + CERTIFICATES, plan.certificates)
            plan.certificates.clear()
            rootfs.prepare_node_root("/" + NODE_ROOT)
            rootfs.discard_packages("/" + NODE_ROOT, frozenset(plan.packages))
        phases.enter("end")
        _report(channel, {"ready": phases.ms, "notes": notes})
        _await_answer(channel)  # a host agent that died before it wrote this machine down leaves none behind
        channel.close()
        first_process(listener, plan.config)
    except accounts.AccountRefused as refused:
        _report(channel, {"error": str(refused), "phase": phases.name, "refused": True})
    except BaseException as failure:  # noqa: BLE001 - as in run_builder
        _report(channel, {"error": f"{type(failure).__name__}: {failure}", "phase": phases.name})
    finally:
        os._exit(1)


def _hear(builder: socket.socket, *expected: bytes) -> bytes:
    word = builder.recv(1)
    if word not in expected:
        raise OSError("the builder of this machine ended early")
    return word


def _await_answer(channel: socket.socket) -> dict[str, Any]:
    raw = channel.recv(_MESSAGE_BYTES)
    if not raw:
        os._exit(1)  # no host agent, no machine
    answer: dict[str, Any] = json.loads(raw)
    return answer


def _report(channel: socket.socket, message: dict[str, Any]) -> None:
    try:
        channel.send(json.dumps(message).encode())
    except OSError:  # nobody listens: the host agent is gone, and the machine ends with this process
        os._exit(1)
