"""Files of nodes and tasks on the wire: paths, ranges, entries and headers."""

from __future__ import annotations

import re

from poolwright.domain.clock import Instant
from poolwright.domain.errors import ServiceError
from poolwright.wire.convert.shared import Document
from poolwright.wire.times import http_date, iso

_PATH_MAX = 4096  # what Linux takes
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})\Z", re.ASCII | re.IGNORECASE)
_TEXT = (".txt", ".log", ".csv", ".json", ".xml", ".sh", ".py", ".md", ".yaml", ".yml")
_PERMISSIONS = 0o177777


def check_path(path: str) -> str:
    """A path below a directory, with `/` between its parts. InvalidInput for one that could lead out of it.

    Clients on Windows join names with backslashes, so these count as separators.
    """
    parts = path.replace("\\", "/").split("/")
    if parts[-1] == "":
        parts.pop()
    reason = ""
    if not parts or "" in parts:
        reason = "A path is relative and has no empty parts."
    elif "." in parts or ".." in parts:
        reason = "A path has no '.' or '..' in it: it cannot lead out of its directory."
    elif "\0" in path or len(path) > _PATH_MAX:
        reason = f"A path has at most {_PATH_MAX} characters and no NUL."
    if reason:
        values = (("PropertyName", "filePath"), ("PropertyValue", path[:200]), ("Reason", reason))
        raise ServiceError("InvalidInput", None, values)
    return "/".join(parts)


def read_range(text: str | None, size: int) -> tuple[int, int]:
    """(offset, length) of an `ocp-range` header, the whole file without one.

    InvalidHeaderValue when it cannot be read, InvalidRange (416) when it begins behind the end.
    """
    if text is None:
        return 0, size
    match = _RANGE.match(text.strip())
    first, last = (match[1], match[2]) if match else ("", "")
    if (not first and not last) or (first and last and int(last) < int(first)):
        reason = "A range is written bytes=first-last, bytes=first- or bytes=-count."
        values = (("HeaderName", "ocp-range"), ("HeaderValue", text[:100]), ("Reason", reason))
        raise ServiceError("InvalidHeaderValue", None, values)
    start = int(first) if first else max(0, size - int(last))
    end = min(int(last), size - 1) if first and last else size - 1
    if start >= size:
        values = (("HeaderName", "ocp-range"), ("HeaderValue", text[:100]), ("FileSize", str(size)))
        raise ServiceError("InvalidRange", None, values)
    return start, end - start + 1


def content_type(name: str) -> str:
    """What a file is sent as: text for names that end like text, else bytes."""
    return "text/plain" if name.lower().endswith(_TEXT) else "application/octet-stream"


def show_file(
    name: str,
    url: str,
    *,
    directory: bool,
    size: int,
    modified_at: Instant,
    created_at: Instant | None,
    mode: int,
) -> Document:
    """An entry of a file list. Directories have no properties, as in the public service."""
    shown: Document = {"name": name, "url": url, "isDirectory": directory}
    if not directory:
        properties: Document = {} if created_at is None else {"creationTime": iso(created_at)}
        properties["lastModified"] = iso(modified_at)
        properties["contentLength"] = str(size)
        properties["contentType"] = content_type(name)
        properties["fileMode"] = format_mode(mode)
        shown["properties"] = properties
    return shown


def format_mode(mode: int) -> str:
    """A file mode in octal, with a leading zero."""
    return f"0{mode & _PERMISSIONS:o}"


def file_headers(
    url: str, *, name: str, directory: bool, modified_at: Instant, created_at: Instant | None, mode: int
) -> list[tuple[str, str]]:
    """The headers by which a file's properties are told."""
    headers = [
        ("content-type", content_type(name)),
        ("last-modified", http_date(modified_at)),
        ("ocp-batch-file-isdirectory", str(directory)),
        ("ocp-batch-file-url", url),
        ("ocp-batch-file-mode", format_mode(mode)),
    ]
    if created_at is not None:
        headers.append(("ocp-creation-time", http_date(created_at)))
    return headers
