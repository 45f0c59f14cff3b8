"""What a container is made of, as the runtime is told (OCI runtime specification, config.json). No I/O."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from poolwright.agent import seccomp, trust
from poolwright.agent.layout import NODE_ROOT
from poolwright.agent.users import Identity

_ROOT = "/" + NODE_ROOT
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_SHM = "/dev/shm"  # noqa: S108 - its name in every container
_SHM_BYTES = 64 * 1024**2  # docker's default
#: What docker leaves to root in a container, of what the node's own root has (capabilities(7)).
_ROOT_CAPABILITIES = [
    f"CAP_{name}"
    for name in (
        "AUDIT_WRITE CHOWN DAC_OVERRIDE FOWNER FSETID KILL MKNOD NET_BIND_SERVICE NET_RAW SETFCAP SETGID SETPCAP "
        "SETUID SYS_CHROOT"
    ).split()
]
_MASKED = [
    "/proc/kcore",
    "/proc/keys",
    "/proc/timer_list",
    "/proc/sched_debug",
    "/proc/scsi",
    "/sys/firmware",
]
_READ_ONLY = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"]


class SettingsRefused(Exception):
    """The container's settings cannot be put in force on this node; the text says which and why."""


def environment(
    container: Mapping[str, Any], image: Mapping[str, Any], own: Mapping[str, str], home: str
) -> dict[str, str]:
    """The image's variables, over them those of the options, over them the task's own with the service's."""
    found = {"PATH": _PATH, "HOME": home}
    for setting in image.get("environment") or ():
        name, _, value = str(setting).partition("=")
        found[name] = value
    found.update((str(name), str(value)) for name, value in container.get("environment") or ())
    return {**found, **own}


def arguments(container: Mapping[str, Any], image: Mapping[str, Any], words: Sequence[str]) -> list[str]:
    """The command, which takes the place of the image's own, behind the entry point. Raises SettingsRefused."""
    entry = container.get("entrypoint")
    if entry is None:
        found = [*(image.get("entrypoint") or ()), *(words or image.get("command") or ())]
    else:
        found = [
            *([str(entry)] if entry else []),
            *words,
        ]  # as docker: the image's command goes with its entry point
    if not found:
        raise SettingsRefused("the command line is empty, and the image has no command of its own")
    return found


def user(container: Mapping[str, Any], identity: Identity, accounts: str) -> tuple[int, int, list[int]]:
    """(uid, gid, further groups) of the container's process: the task's user. Only an elevated task, which is root on
    its node, may be another user. `accounts` is the image's passwd(5). Raises SettingsRefused."""
    asked = container.get("user")
    if asked is None:
        return identity.uid, identity.gid, [group for group in identity.groups if group != identity.gid]
    name, _, group = str(asked).partition(":")
    known = {line.split(":")[0]: line.split(":") for line in accounts.splitlines() if line.count(":") >= 6}
    known.setdefault("root", ["root", "x", "0", "0"])
    known.setdefault(identity.name, [identity.name, "x", str(identity.uid), str(identity.gid)])
    entry = known.get(name, [name, "x", name, name])
    uid, gid = entry[2], group or entry[3]
    if not (uid.isdigit() and gid.isdigit()) or max(int(uid), int(gid)) > 65_533:
        raise SettingsRefused(f"--user {asked}: the image has no such user (groups are given by number)")
    if identity.uid != 0 and (int(uid), int(gid)) != (identity.uid, identity.gid):
        raise SettingsRefused(
            f"--user {asked}: the task runs as {identity.name} ({identity.uid}); give it an elevated userIdentity "
            "to run its container as another user"
        )
    return int(uid), int(gid), []


def directories(container: Mapping[str, Any]) -> list[tuple[str, bool]]:
    """(path, read-only) of the node's directories that are seen under their own path."""
    given = container.get("mounts")
    return [(_ROOT, False)] if given is None else [(str(path), bool(only)) for path, only in given]


def configuration(
    container: Mapping[str, Any],
    image: Mapping[str, Any],
    *,
    words: Sequence[str],
    identity: Identity,
    own: Mapping[str, str],
    directory: str,
    bundle: str,
    accounts: str,
) -> dict[str, Any]:
    """The configuration. `directory` is the task's, `bundle` where root (`root`), volumes (`volume0`, ...) and the
    files `passwd` and `hostname` are. Raises SettingsRefused."""
    uid, gid, groups = user(container, identity, accounts)
    elevated = identity.uid == 0
    work = f"{directory}/wd"
    place = container.get("work_dir") or (
        image.get("directory") if container.get("image_directory") else work
    )
    rights = _ROOT_CAPABILITIES if elevated else []
    held = rights if uid == 0 else []
    told = environment(container, image, own, "/root" if uid == 0 else work)
    process = {
        "terminal": False,
        "user": {"uid": uid, "gid": gid, "additionalGids": groups},
        "args": arguments(container, image, words),
        "env": [f"{name}={value}" for name, value in told.items()],
        "cwd": str(place or "/"),
        "capabilities": {"bounding": rights, "permitted": held, "effective": held, "inheritable": []},
        "rlimits": [
            {"type": f"RLIMIT_{name.upper()}", "soft": _limit(soft), "hard": _limit(hard)}
            for name, soft, hard in container.get("limits") or ()
        ],
        "noNewPrivileges": not elevated,
    }
    kinds = ["pid", "mount", *([] if container.get("shares_ipc") else ["ipc"])]
    found: dict[str, Any] = {
        "ociVersion": "1.0.2",
        "process": process,
        "root": {"path": f"{bundle}/root", "readonly": bool(container.get("read_only"))},
        "mounts": _mounts(container, work, bundle, (uid, gid), trust.files(own)),
        "linux": {"maskedPaths": _MASKED, "readonlyPaths": _READ_ONLY},
    }
    if not container.get("unconfined"):
        found["linux"]["seccomp"] = seccomp.profile()
    elif not elevated:
        raise SettingsRefused(
            "--security-opt seccomp=unconfined: only a task with an elevated userIdentity may make every system call"
        )
    if container.get("hostname"):
        found["hostname"] = str(container["hostname"])
        kinds.append("uts")
    found["linux"]["namespaces"] = [{"type": kind} for kind in kinds]
    return found


def _limit(number: int) -> int:
    return 2**64 - 1 if number < 0 else int(number)


def _mounts(
    container: Mapping[str, Any], work: str, bundle: str, owner: tuple[int, int], trusted: Sequence[str]
) -> list[dict[str, Any]]:
    found = [
        _mount("/proc", "proc", "proc", "nosuid", "noexec", "nodev"),
        _bind("/dev", "/dev"),
        _bind("/sys", "/sys", read_only=True),
    ]
    if not container.get("shares_ipc"):
        size = container.get("shm_bytes") or _SHM_BYTES
        found.append(_mount(_SHM, "tmpfs", "shm", "nosuid", "nodev", "mode=1777", f"size={size}"))
    elif container.get("shm_bytes"):
        raise SettingsRefused("--shm-size: with --ipc host the shared memory is the node's")
    lent = directories(container)

    def seen(place: str) -> bool:
        return any(place == path or place.startswith(path + "/") for path, _ in lent)

    if not seen(work):
        # Nothing of the task's directory is seen, but the process begins there.
        found.append(
            _mount(work, "tmpfs", "wd", "nosuid", "nodev", "mode=770", f"uid={owner[0]}", f"gid={owner[1]}")
        )
    found += [_bind(path, path, read_only=only) for path, only in lent]
    found += [_bind(path, path, read_only=True) for path in trusted if not seen(path)]
    if container.get("certificates"):
        found.append(_bind(str(container["certificates"]), str(container["certificates"]), read_only=True))
    for name in ("hosts", "resolv.conf"):
        found.append(_bind(f"/etc/{name}", f"/etc/{name}", read_only=True))
    for name in ("hostname", "passwd"):
        found.append(_bind(f"/etc/{name}", f"{bundle}/{name}", read_only=True))
    for number, (target, source, read_only, size) in enumerate(container.get("volumes") or ()):
        if source is None:
            limit = [f"size={size}"] if size else []
            found.append(_mount(target, "tmpfs", "tmpfs", "nosuid", "nodev", "mode=1777", *limit))
        else:
            found.append(_bind(target, f"{bundle}/volume{number}", read_only=bool(read_only)))
    return found


def _bind(target: str, source: str, *, read_only: bool = False) -> dict[str, Any]:
    return _mount(target, "bind", source, "rbind", "rprivate", *(["ro"] if read_only else []))


def _mount(target: str, kind: str, source: str, *options: str) -> dict[str, Any]:
    return {"destination": target, "type": kind, "source": source, "options": list(options)}
