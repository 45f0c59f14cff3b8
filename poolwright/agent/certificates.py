"""Certificates of a node: files in memory, in a directory for each of those who may read some.

Runs as the machine's root before anything else does. Names of files follow the public agent: `sha1-<thumbprint>.pfx`
(or `.cer`), the password of a pfx in a file of the same name with `.pw` behind it.
"""

from __future__ import annotations

import base64
import dataclasses
import os
from collections.abc import Sequence
from typing import Any

from poolwright.agent.layout import START_TASK_GID, TASK_GID
from poolwright.agent.users import Identity

#: Directory -> the group that reads it. People who log in get copies of their own, made by root.
_READERS = {"starttask": START_TASK_GID, "task": TASK_GID, "remoteuser": 0}


def checked(given: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Certificates of a request (`name`, `data` in base64, `password`, `visibility`). Raises ValueError."""
    for one in given:
        name = one.get("name")
        if not isinstance(name, str) or not name or "/" in name or name.startswith("."):
            raise ValueError(f"certificates: name {name!r}: must be the name of a file")
        unknown = set(one.get("visibility") or ()) - _READERS.keys()
        if unknown:
            raise ValueError(f"certificates: visibility {sorted(unknown)!r}: any of {', '.join(_READERS)}")
    return [dict(one) for one in given]


def write(path: str, certificates: Sequence[dict[str, Any]]) -> None:
    """Make the directories in `path`, which is empty, and put the files there. Raises OSError."""
    for reader, group in _READERS.items():
        directory = f"{path}/{reader}"
        os.mkdir(directory)
        for one in certificates:
            if reader not in one["visibility"]:
                continue
            _put(f"{directory}/{one['name']}", base64.b64decode(one["data"]), group)
            if one.get("password") is not None:
                _put(f"{directory}/{one['name']}.pw", str(one["password"]).encode(), group)
        os.chown(directory, 0, group)
        os.chmod(directory, 0o750 if group else 0o700)


def seen_by(identity: Identity, spec: dict[str, Any]) -> Identity:
    """The identity of an execution, with the right to read what its kind of task may."""
    group = START_TASK_GID if spec.get("kind") == "start" else TASK_GID
    return dataclasses.replace(identity, groups=(*identity.groups, group))


def _put(path: str, data: bytes, group: int) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "wb") as stream:
        stream.write(data)
        os.fchown(fd, 0, group)
        os.fchmod(fd, 0o640 if group else 0o600)
