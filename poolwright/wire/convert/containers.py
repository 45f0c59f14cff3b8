"""Containers: what pools and tasks say of them, as domain values. Options of `docker create`: run_options.py."""

from __future__ import annotations

import re
from collections.abc import Sequence

from poolwright.domain.containers import (
    INVALID_IMAGE,
    INVALID_REGISTRY,
    INVALID_SETTINGS,
    MISC_ERROR,
    PUBLIC_REGISTRY,
    BadImageName,
    BindMount,
    ContainerSettings,
    ImageName,
    PoolContainers,
    Registry,
    RunOptions,
    container_id,
    read_image_name,
    registry_name,
)
from poolwright.domain.errors import ServiceError, bad_property
from poolwright.domain.limits import CONTAINER_IMAGES_MAX, CONTAINER_REGISTRIES_MAX
from poolwright.wire.bodies import HIDDEN
from poolwright.wire.convert.outcome import Run
from poolwright.wire.convert.run_options import read_run_options
from poolwright.wire.convert.shared import Document, check_command_line, refuse
from poolwright.wire.generated import batch_models as models

_SHORT = 300  # characters of a value repeated in an error
_SECRET_MAX = 8192  # characters; a token that serves as a password has some thousands
#: Codes of a failure to make a container or to start its program, public list of task failure codes.
_OF_CONTAINERS = frozenset(
    {
        INVALID_IMAGE,
        INVALID_REGISTRY,
        INVALID_SETTINGS,
        MISC_ERROR,
        "CommandLaunchFailed",
        "CommandProgramNotFound",
    }
)
_SERVER = re.compile(r"(https?://)?[^/\s@]+/?\Z", re.IGNORECASE)


def read_pool_containers(body: models.BatchContainerConfiguration | None, name: str) -> PoolContainers | None:
    """The containers of a pool; None for a pool without. `name` is the property's path. Raises ServiceError.

    Both types mean the same here: images are unpacked by the service and run by one runtime.
    """
    if body is None:
        return None
    images, registries = body.container_image_names or [], body.container_registries or []
    if len(images) > CONTAINER_IMAGES_MAX:
        reason = f"At most {CONTAINER_IMAGES_MAX} images are brought to each node."
        raise bad_property(f"{name}.containerImageNames", f"{len(images)} images", reason)
    if len(registries) > CONTAINER_REGISTRIES_MAX:
        reason = f"At most {CONTAINER_REGISTRIES_MAX} registries may be named."
        raise bad_property(f"{name}.containerRegistries", f"{len(registries)} registries", reason)
    found: dict[str, Registry] = {}
    for index, one in enumerate(registries):
        where = f"{name}.containerRegistries[{index}]"
        registry = _registry(one, where)
        if registry.server in found:
            raise bad_property(f"{where}.registryServer", registry.server, "The registry is named twice.")
        found[registry.server] = registry
    for index, image in enumerate(images):
        _image(image, f"{name}.containerImageNames[{index}]")
    return PoolContainers(tuple(dict.fromkeys(images)), tuple(found.values()))


def read_container(
    body: models.BatchTaskContainerSettings | None, within: str = ""
) -> ContainerSettings | None:
    """The container settings of a task; None for a task without. Raises ServiceError."""
    if body is None:
        return None
    name = f"{within}containerSettings"
    image = _image(body.image_name, f"{name}.imageName")
    registry = None
    if body.registry is not None:
        registry = _registry(body.registry, f"{name}.registry", image.server)
        if registry.server != image.server:
            reason = f"The image is of the registry {image.server}: name the registry in imageName too."
            raise bad_property(f"{name}.registry.registryServer", registry.server, reason)
    given = body.container_run_options
    options = read_run_options(given, f"{name}.containerRunOptions") if given else RunOptions()
    place = body.working_directory
    return ContainerSettings(
        body.image_name,
        options,
        registry,
        place is not None and place.value == "containerImageDefault",
        _mounts(body.container_host_batch_bind_mounts, f"{name}.containerHostBatchBindMounts"),
    )


def read_command(command_line: str, name: str, container: object | None) -> str:
    """The command line; with a container it may be empty, which runs the image's own command."""
    if container is not None and not command_line.strip():
        return ""
    return check_command_line(command_line, name)


def show_container(run: Run, container: ContainerSettings | None, execution: str) -> Document:
    """`containerInfo`, if the run was begun in a container, or if that failed for a reason of the container itself."""
    if container is None or run.started_at is None:
        return {}
    shown: Document = {"state": "running" if run.ended_at is None else "exited"}
    if run.ended_at is None or run.exit_code is not None:
        shown["containerId"] = container_id(execution)
    elif run.failure is not None and run.failure.code in _OF_CONTAINERS:  # no process of it ever ran
        shown |= {"state": "created", "error": run.failure.message}
    else:  # ended, or its files failed, before there was a container
        return {}
    return {"containerInfo": shown}


def _image(text: str, name: str) -> ImageName:
    try:
        return read_image_name(text)
    except BadImageName as bad:
        raise bad_property(name, text[:_SHORT], str(bad)) from None


def _registry(body: models.ContainerRegistryReference, name: str, server: str = PUBLIC_REGISTRY) -> Registry:
    """`server` is meant where none is named. Passwords are never repeated."""
    if body.identity_reference is not None:
        reason = "Nodes here have no managed identity; give username and password."
        raise refuse(f"{name}.identityReference", body.identity_reference.resource_id or "", reason)
    for attribute, value in (("username", body.username), ("password", body.password)):
        if not value:
            values = (("PropertyName", f"{name}.{attribute}"), ("Reason", "A registry needs both."))
            raise ServiceError("MissingRequiredProperty", None, values)
        if len(value) > _SECRET_MAX or not value.isprintable() or (attribute == "username" and ":" in value):
            reason = f"At most {_SECRET_MAX} printable characters, and no ':' in a username."
            shown = value[:_SHORT] if attribute == "username" else HIDDEN
            raise bad_property(f"{name}.{attribute}", shown, reason)
    given = body.registry_server
    if given and not _SERVER.match(given):
        raise bad_property(
            f"{name}.registryServer", given[:_SHORT], "A host name or address, with a port where needed."
        )
    return Registry(registry_name(given) if given else server, body.username or "", body.password or "")


def _mounts(
    bodies: Sequence[models.ContainerHostBatchBindMountEntry] | None, name: str
) -> tuple[BindMount, ...] | None:
    if bodies is None:
        return None
    found: dict[str, BindMount] = {}
    for index, body in enumerate(bodies):
        if body.source is None:
            values = (("PropertyName", f"{name}[{index}].source"), ("Reason", "A source is needed."))
            raise ServiceError("MissingRequiredProperty", None, values)
        source = body.source.value
        if source in found:
            raise bad_property(f"{name}[{index}].source", source, "The source is named twice.")
        found[source] = BindMount(source, bool(body.is_read_only))
    return tuple(found.values())
