"""Resource files and output files: bodies to domain values."""

from __future__ import annotations

import re
from collections.abc import Sequence
from urllib.parse import urlsplit

from poolwright.domain.errors import ServiceError, bad_property
from poolwright.domain.limits import OUTPUT_FILES_MAX, RESOURCE_FILES_MAX
from poolwright.domain.transfer import FILE_MODE_DEFAULT, OutputFile, ResourceFile, Source, UploadCondition
from poolwright.wire.convert.shared import refuse
from poolwright.wire.generated import batch_models as models

_IDENTITY = "Nodes of this service have no managed identity; put a shared access signature in the URL."
_CONTAINER_NAME = re.compile(
    r"[a-z0-9](?:-?[a-z0-9]){2,62}"
)  # public rule of container names, length checked apart
_SETTABLE = ("content-type", "content-encoding", "content-language", "content-disposition", "cache-control")
_METADATA = re.compile(r"x-ms-meta-[a-z_][a-z0-9_]*")
_URL_MAX = 8192  # longer URLs are refused by the servers that matter


def read_resource_files(given: Sequence[models.ResourceFile] | None, name: str) -> tuple[ResourceFile, ...]:
    """The files a task is given. `name` is the property's path, for errors. Raises ServiceError."""
    if not given:
        return ()
    _bound(len(given), RESOURCE_FILES_MAX, name)
    return tuple(_resource(file, f"{name}[{index}]") for index, file in enumerate(given))


def read_output_files(given: Sequence[models.OutputFile] | None, name: str) -> tuple[OutputFile, ...]:
    """The files that are kept of a task. Raises ServiceError."""
    if not given:
        return ()
    _bound(len(given), OUTPUT_FILES_MAX, name)
    return tuple(_output(file, f"{name}[{index}]") for index, file in enumerate(given))


def check_container_url(url: str, name: str) -> str:
    """The URL of a blob container: http or https, with a host and a path. Raises ServiceError without its query."""
    parts = _url(url, name)
    if not parts.strip("/"):
        raise bad_property(name, _public(url), "The URL of a container has the container's name as its path.")
    return url


def refuse_identity(given: models.BatchNodeIdentityReference | None, within: str = "") -> None:
    """Refuse an identity to fetch with."""
    if given is not None:
        raise refuse(f"{within}identityReference", given.resource_id or "", _IDENTITY)


def _bound(count: int, most: int, name: str) -> None:
    if count > most:
        reason = f"At most {most} entries; a container holds any number of files."
        values = (("PropertyName", name), ("PropertyValue", f"{count} entries"), ("Reason", reason))
        raise ServiceError("RequestEntityTooLarge", None, values)


def _resource(file: models.ResourceFile, name: str) -> ResourceFile:
    refuse_identity(file.identity_reference, f"{name}.")
    sources = {
        Source.HTTP: file.http_url,
        Source.CONTAINER: file.storage_container_url,
        Source.AUTO_STORAGE: file.auto_storage_container_name,
    }
    given = {source: value for source, value in sources.items() if value is not None}
    if len(given) != 1:
        told = ", ".join(source.value for source in given) or "none"
        raise bad_property(name, told, f"Exactly one of {', '.join(Source)} is needed.")
    ((source, address),) = given.items()
    where = f"{name}.{source.value}"
    path = _path(file.file_path or "", f"{name}.filePath")
    if source is Source.AUTO_STORAGE:
        if not 3 <= len(address) <= 63 or not _CONTAINER_NAME.fullmatch(address):
            raise bad_property(
                where, address, "A container's name has 3 to 63 lower-case letters, digits and single '-'."
            )
    elif source is Source.CONTAINER:
        check_container_url(address, where)
    else:
        _url(address, where)
        if not path or path.endswith("/"):
            raise bad_property(f"{name}.filePath", path, "With httpUrl the file's name is needed.")
        if file.blob_prefix is not None:
            raise bad_property(f"{name}.blobPrefix", file.blob_prefix, "A prefix goes with containers only.")
    return ResourceFile(source, address, path, file.blob_prefix or "", _mode(file.file_mode, name))


def _output(file: models.OutputFile, name: str) -> OutputFile:
    container = file.destination.container
    where = f"{name}.destination.container"
    if container is None:
        raise bad_property(where, "none", "A container to upload to is needed.")
    refuse_identity(container.identity_reference, f"{where}.")
    if not file.file_pattern or "\0" in file.file_pattern:
        raise bad_property(
            f"{name}.filePattern", file.file_pattern, "A pattern is not empty and has no NUL character."
        )
    check_container_url(container.container_url, f"{where}.containerUrl")
    condition = UploadCondition(file.upload_options.upload_condition.value)
    headers = tuple(
        _header(header, f"{where}.uploadHeaders[{index}]")
        for index, header in enumerate(container.upload_headers or ())
    )
    return OutputFile(file.file_pattern, container.container_url, container.path or "", condition, headers)


def _header(header: models.OutputFileUploadHeader, name: str) -> tuple[str, str]:
    lower, value = header.name.lower(), header.value or ""
    if lower not in _SETTABLE and not _METADATA.fullmatch(lower):
        raise bad_property(f"{name}.name", header.name, f"One of {', '.join(_SETTABLE)} or x-ms-meta-NAME.")
    if any(ord(char) < 32 or ord(char) > 126 for char in value):
        raise bad_property(f"{name}.value", value, "A header's value has printable ASCII characters only.")
    return lower, value


def _path(path: str, name: str) -> str:
    parts = path.split("/")
    if path.startswith("/") or ".." in parts or "\0" in path:
        raise bad_property(name, path, "The path must stay below the task's working directory.")
    if any(len(part.encode()) > 255 for part in parts) or len(path.encode()) > 3000:
        raise bad_property(name, path[:80], "A path has at most 3000 bytes, each part at most 255.")
    return path


def _url(url: str, name: str) -> str:
    """The URL's path, if it is one of http or https. What is wrong is told without the query, which may be secret."""
    try:
        parts = urlsplit(url)
        fine = parts.scheme.lower() in ("http", "https") and bool(parts.hostname) and len(url) <= _URL_MAX
        port = parts.port  # raises ValueError for what is no port
        fine = fine and port != 0 and not any(ord(char) <= 32 or ord(char) == 127 for char in url)
    except ValueError:
        fine = False
    if not fine:
        raise bad_property(name, _public(url), "An http or https URL with a host is needed.")
    return parts.path


def _public(url: str) -> str:
    return url.partition("?")[0][:256]


def _mode(mode: str | None, name: str) -> int:
    if mode is None or mode == "":
        return FILE_MODE_DEFAULT
    if not re.fullmatch(r"0?[0-7]{3}", mode):
        raise bad_property(f"{name}.fileMode", mode, "Three octal digits are needed, as in 0770.")
    return int(mode, 8)
