"""`containerRunOptions`: options of `docker create`, read by a closed list. What is not in force is refused by name.

Spellings and meanings are those of docker's command line reference. `--rm` is always so: a container goes with
its task.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from dataclasses import replace

from poolwright.domain.containers import RunOptions, Volume
from poolwright.domain.errors import ServiceError, bad_property
from poolwright.domain.limits import RUN_OPTIONS_MAX, VOLUMES_MAX
from poolwright.wire.convert.shared import refuse

_SHORT = {"-e": "--env", "-h": "--hostname", "-u": "--user", "-v": "--volume", "-w": "--workdir"}
_HOSTNAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,62}[A-Za-z0-9])?\Z")
_USER = re.compile(r"[A-Za-z0-9_][\w.-]{0,63}(:[A-Za-z0-9_][\w.-]{0,63})?\Z", re.ASCII)
_SIZE = re.compile(r"(\d{1,12})([bkmg]?)b?\Z", re.IGNORECASE)
_UNITS = {"": 1, "b": 1, "k": 1024, "m": 1024**2, "g": 1024**3}
_LIMITS = (
    "as core cpu data fsize locks memlock msgqueue nice nofile nproc rss rtprio rttime sigpending stack"
).split()
_UNLIMITED = -1

#: Why well-known options are not in force here.
_REASONS = {
    "--privileged": "Containers never have more rights than their task's user.",
    "--gpus": "Nodes have no GPUs.",
    "--device": "Nodes have no devices of their host.",
    "--cap-add": "Rights follow the task's user; give the task an elevated userIdentity.",
    "--memory": "A node's memory is that of its size, for all of its tasks.",
    "--cpus": "A node's cores are those of its size, for all of its tasks.",
    "--publish": "Containers use the network of their node: whatever listens is reached there.",
    "--detach": "The task is the container's process.",
    "--name": "Containers are named by the service.",
}
_ALIASES = {"-m": "--memory", "-p": "--publish", "-d": "--detach"}

_Reader = Callable[[RunOptions, str], RunOptions]


class _Bad(ValueError):
    """The value cannot be used; the message says why."""


def read_run_options(text: str, name: str) -> RunOptions:
    """Raises InvalidPropertyValue or UnsupportedProperty (400), naming the option."""
    if len(text) > RUN_OPTIONS_MAX or "\0" in text:
        reason = f"At most {RUN_OPTIONS_MAX} characters, none of them NUL."
        raise bad_property(name, f"{len(text)} characters", reason)
    try:
        words = shlex.split(text)
    except ValueError as bad:
        raise bad_property(name, text, f"The text cannot be split into words: {bad}.") from None
    options = RunOptions()
    rest = iter(words)
    for word in rest:
        options = _one(options, word, rest.__next__, name)
    if len(options.volumes) > VOLUMES_MAX:
        raise bad_property(name, f"{len(options.volumes)} volumes", f"At most {VOLUMES_MAX} volumes.")
    return options


def _one(options: RunOptions, word: str, following: Callable[[], str], name: str) -> RunOptions:
    option, equals, value = word.partition("=")
    if not word.startswith("--") and len(word) > 2 and word[:2] in _SHORT:
        option, equals, value = word[:2], "=", word[2:].removeprefix("=")
    option = _SHORT.get(option, option)
    if option in _FLAGS:
        if equals and value.lower() not in ("true", "1", "false", "0"):
            raise bad_property(name, word, "The option is true or false.")
        return _FLAGS[option](options) if value.lower() not in ("false", "0") else _unset(option, name, word)
    reader = _READERS.get(option)
    if reader is None:
        raise _refused(option, word, name)
    if not equals:
        try:
            value = following()
        except StopIteration:
            raise bad_property(name, word, "The option needs a value.") from None
    try:
        return reader(options, value)
    except _Bad as bad:
        raise bad_property(name, f"{option} {value}", str(bad)) from None


def _unset(option: str, name: str, word: str) -> RunOptions:
    if option == "--rm":
        raise bad_property(
            name, word, "A container goes with its task; its files are in the task's directory."
        )
    raise bad_property(name, word, "That is so without the option: leave it out.")


def _refused(option: str, word: str, name: str) -> ServiceError:
    known = ", ".join(sorted({*_FLAGS, *_READERS}))
    if not option.startswith("-"):
        return bad_property(name, word, f"Every word is an option or its value. Options in force: {known}.")
    reason = _REASONS.get(_ALIASES.get(option, option), "The option is not in force here.")
    return refuse(name, option, f"{reason} Options in force: {known}.")


def _path(value: str) -> str:
    parts = value.split("/")
    if not value.startswith("/") or ".." in parts or "\0" in value:
        raise _Bad("An absolute path without '..' is needed.")
    return "/" + "/".join(part for part in parts if part not in ("", "."))


def _size(value: str) -> int:
    match = _SIZE.match(value)
    if match is None or int(match[1]) == 0:
        raise _Bad("A number of bytes above 0, with b, k, m or g.")
    return int(match[1]) * _UNITS[match[2].lower()]


def _work_dir(options: RunOptions, value: str) -> RunOptions:
    return replace(options, work_dir=_path(value))


def _user(options: RunOptions, value: str) -> RunOptions:
    if not _USER.match(value):
        raise _Bad("A user (and group, behind ':') by name or number.")
    return replace(options, user=value)


def _entrypoint(options: RunOptions, value: str) -> RunOptions:
    return replace(options, entrypoint=value)


def _hostname(options: RunOptions, value: str) -> RunOptions:
    if not _HOSTNAME.match(value):
        raise _Bad("Up to 64 letters, digits, '-' and '.'.")
    return replace(options, hostname=value)


def _env(options: RunOptions, value: str) -> RunOptions:
    variable, equals, content = value.partition("=")
    if not variable or not equals:
        raise _Bad("NAME=VALUE: there is no environment from which a name alone could be taken.")
    return replace(options, environment=(*options.environment, (variable, content)))


def _volume(options: RunOptions, value: str) -> RunOptions:
    parts = value.split(":")
    if len(parts) not in (2, 3) or (len(parts) == 3 and parts[2] not in ("ro", "rw")):
        raise _Bad("SOURCE:TARGET or SOURCE:TARGET:ro, both absolute paths.")
    volume = Volume(_path(parts[1]), _path(parts[0]), parts[2:] == ["ro"])
    return _with(options, volume)


def _tmpfs(options: RunOptions, value: str) -> RunOptions:
    target, colon, settings = value.partition(":")
    size = None
    for setting in settings.split(",") if colon else ():
        key, _, number = setting.partition("=")
        if key != "size":
            raise _Bad("Of an empty directory in memory only its size is in force.")
        size = _size(number)
    return _with(options, Volume(_path(target), None, False, size))


def _mount(options: RunOptions, value: str) -> RunOptions:
    fields: dict[str, str] = {}
    for word in value.split(","):
        key, _, content = word.partition("=")
        fields[
            {"src": "source", "dst": "target", "destination": "target", "ro": "readonly"}.get(key, key)
        ] = content
    kind = fields.pop("type", "volume")
    read_only = fields.pop("readonly", "false").lower() in ("", "true", "1")
    target, source, size = (
        fields.pop("target", ""),
        fields.pop("source", None),
        fields.pop("tmpfs-size", None),
    )
    if kind not in ("bind", "tmpfs") or fields or (kind == "bind") != (source is not None):
        raise _Bad(
            "type=bind,source=PATH,target=PATH[,readonly] or type=tmpfs,target=PATH[,tmpfs-size=BYTES]."
        )
    bytes_max = None if size is None else _size(size)
    return _with(
        options, Volume(_path(target), None if source is None else _path(source), read_only, bytes_max)
    )


def _with(options: RunOptions, volume: Volume) -> RunOptions:
    if volume.target == "/" or volume.target in (known.target for known in options.volumes):
        raise _Bad("The target is a directory of its own, named once.")
    return replace(options, volumes=(*options.volumes, volume))


def _ulimit(options: RunOptions, value: str) -> RunOptions:
    kind, _, numbers = value.partition("=")
    soft, colon, hard = numbers.partition(":")
    if kind not in _LIMITS or not all(
        re.fullmatch(r"-1|\d{1,18}", n) for n in (soft, hard if colon else soft)
    ):
        raise _Bad(f"NAME=SOFT or NAME=SOFT:HARD; the names are {', '.join(_LIMITS)}.")
    limit = (kind, int(soft), int(hard if colon else soft))
    if limit[2] != _UNLIMITED and not 0 <= limit[1] <= limit[2]:
        raise _Bad("The soft limit is not above the hard one.")
    return replace(options, limits=(*(one for one in options.limits if one[0] != kind), limit))


def _shm(options: RunOptions, value: str) -> RunOptions:
    return replace(options, shm_bytes=_size(value))


def _network(options: RunOptions, value: str) -> RunOptions:
    if value != "host":
        raise _Bad("Containers use the network of their node: host.")
    return options


def _ipc(options: RunOptions, value: str) -> RunOptions:
    if value not in ("host", "private"):
        raise _Bad("host (the node's) or private.")
    return replace(options, shares_ipc=value == "host")


def _security(options: RunOptions, value: str) -> RunOptions:
    if value.replace(":", "=", 1) != "seccomp=unconfined":
        raise _Bad("Only seccomp=unconfined is in force, for tasks with an elevated userIdentity.")
    return replace(options, unconfined=True)


_FLAGS: dict[str, Callable[[RunOptions], RunOptions]] = {
    "--rm": lambda options: options,
    "--read-only": lambda options: replace(options, read_only=True),
}
_READERS: dict[str, _Reader] = {
    "--workdir": _work_dir,
    "--user": _user,
    "--entrypoint": _entrypoint,
    "--hostname": _hostname,
    "--env": _env,
    "--volume": _volume,
    "--tmpfs": _tmpfs,
    "--mount": _mount,
    "--ulimit": _ulimit,
    "--shm-size": _shm,
    "--network": _network,
    "--net": _network,
    "--ipc": _ipc,
    "--security-opt": _security,
}
