"""Container images, registries and the settings of container tasks.

Names of images are those of the distribution project's "reference" grammar, with docker's own defaults: no server means
the public registry, a name without a slash there is one of its library, no tag means `latest`.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field

#: The code of a node's error, and of why its pool's images are not there.
PULL_ERROR = "ContainerImagePullError"
INVALID_IMAGE = "ContainerInvalidImage"
INVALID_REGISTRY = "ContainerInvalidRegistry"
INVALID_SETTINGS = "ContainerInvalidSettings"
MISC_ERROR = "ContainerMiscError"

PUBLIC_REGISTRY = "docker.io"
_PUBLIC_NAMES = frozenset({"docker.io", "index.docker.io", "registry-1.docker.io", "registry.hub.docker.com"})
_LATEST = "latest"
NAME_MAX = 255  # of the grammar, without tag and digest

_SERVER = re.compile(
    r"(\[[0-9a-fA-F:]+\]|[a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])?(\.[a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])?)*)(:\d{1,5})?\Z"
)
_PART = re.compile(r"[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*\Z")
_TAG = re.compile(r"\w[\w.-]{0,127}\Z", re.ASCII)
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}\Z")


class BadImageName(ValueError):
    """The text names no image; the message says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class ImageName:
    """The name of a container image, with all defaults spelled out. `digest` wins over `tag`."""

    server: str
    path: str
    tag: str | None
    digest: str | None

    @property
    def version(self) -> str:
        """What is asked of the registry: the digest, else the tag."""
        return self.digest or self.tag or _LATEST

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag is not None else ""
        digest = f"@{self.digest}" if self.digest is not None else ""
        return f"{self.server}/{self.path}{tag}{digest}"

    @property
    def key(self) -> str:
        """The name of its directory on a node: hexadecimal digits."""
        return hashlib.sha256(str(self).encode()).hexdigest()[:32]


def read_image_name(text: str) -> ImageName:
    """The image that a text names. Raises BadImageName."""
    name, at, digest = text.partition("@")
    if at and not _DIGEST.match(digest):
        raise BadImageName("A digest is sha256: and 64 hexadecimal digits.")
    server, slash, path = name.partition("/")
    if not slash or not ("." in server or ":" in server or server == "localhost"):
        server, path = PUBLIC_REGISTRY, name
    folder, slash, last = path.rpartition("/")
    last, colon, tag = last.partition(":")
    path = folder + slash + last
    if colon and not _TAG.match(tag):
        raise BadImageName("A tag has up to 128 letters, digits, '_', '.' and '-', no '.' or '-' first.")
    if not _SERVER.match(server):
        raise BadImageName("The name of a registry is a host name or address, with a port where needed.")
    server = registry_name(server)
    if server == PUBLIC_REGISTRY and "/" not in path:
        path = f"library/{path}"
    if len(server) + len(path) > NAME_MAX or not all(_PART.match(part) for part in path.split("/")):
        reason = "Parts of a name are lower-case letters and digits, with '.', '_' or '-' between them"
        raise BadImageName(f"{reason}, at most {NAME_MAX} characters in all.")
    return ImageName(server, path, tag if colon else None if at else _LATEST, digest or None)


def registry_name(text: str) -> str:
    """The name by which a registry is compared: without scheme and path, and one for all names of the public one."""
    name = re.sub(r"\Ahttps?://", "", text, flags=re.IGNORECASE).partition("/")[0].lower()
    return PUBLIC_REGISTRY if name in _PUBLIC_NAMES or not name else name


@dataclass(frozen=True, slots=True)
class Registry:
    """A registry that asks who pulls."""

    server: str  # as `registry_name` tells it
    username: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class PoolContainers:
    """What a pool whose nodes run containers says of them. `images` are on each node before its start task begins."""

    images: tuple[str, ...] = ()
    registries: tuple[Registry, ...] = ()


@dataclass(frozen=True, slots=True)
class BindMount:
    """A directory of the node in a container, under the same path. `source` is a name of the public service."""

    source: str  # "Shared" | "Startup" | "VfsMounts" | "Task" | "JobPrep" | "Applications"
    read_only: bool = False


@dataclass(frozen=True, slots=True)
class Volume:
    """One more directory of the node, or (`source` None) an empty one in memory, at `target` in a container."""

    target: str
    source: str | None = None
    read_only: bool = False
    size_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class RunOptions:
    """What is in force of the options of `docker create`."""

    work_dir: str | None = None
    user: str | None = None  # "uid" or "uid:gid", or a name of the image
    entrypoint: str | None = None
    hostname: str | None = None
    read_only: bool = False
    shares_ipc: bool = False
    unconfined: bool = False  # no system call is refused (agent/seccomp.py)
    environment: tuple[tuple[str, str], ...] = ()
    volumes: tuple[Volume, ...] = ()
    limits: tuple[tuple[str, int, int], ...] = ()  # name as in setrlimit(2), soft, hard
    shm_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class ContainerSettings:
    """What a task says of its container. `mounts` None: the whole root directory of the node."""

    image: str
    options: RunOptions = RunOptions()
    registry: Registry | None = None
    image_directory: bool = False  # it begins in the image's own directory, not in the task's
    mounts: tuple[BindMount, ...] | None = None


def container_id(execution: str) -> str:
    """The id of the container of an execution: 64 hexadecimal digits, as container engines give them."""
    return hashlib.sha256(f"container {execution}".encode()).hexdigest()


def registry_for(
    image: ImageName, settings: ContainerSettings | None, pool: PoolContainers
) -> Registry | None:
    """Whose credentials are used to pull: the task's own registry, else the pool's for that server."""
    if settings is not None and settings.registry is not None:
        return settings.registry
    return next((one for one in pool.registries if one.server == image.server), None)
