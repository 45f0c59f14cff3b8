"""Files that a task is given before it starts and that are kept when it ended, and how moving them may fail."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

FILE_MODE_DEFAULT = 0o770  # public default of resource files on Linux

#: Failure codes of transfers that are the user's to mend (public split of categories; the rest are the server's).
USER_CODES = frozenset(
    {
        "BlobNotFound",
        "BlobAccessDenied",
        "ResourceContainerNotFound",
        "ResourceContainerAccessDenied",
        "FileUploadContainerNotFound",
        "FileUploadAccessDenied",
        "FileUploadConflict",
    }
)
SERVER_CODES = frozenset(
    {
        "BlobDownloadTimedOut",
        "BlobDownloadMiscError",
        "ResourceDirectoryCreateFailed",
        "ResourceFileCreateFailed",
        "ResourceFileWriteFailed",
        "ResourceContainerListTimedOut",
        "ResourceContainerListMiscError",
        "DiskFull",
        "FileUploadTimedOut",
        "FileUploadMiscError",
    }
)


class Source(StrEnum):
    """Where a resource file comes from; the value is the name of the public property."""

    HTTP = "httpUrl"
    CONTAINER = "storageContainerUrl"
    AUTO_STORAGE = "autoStorageContainerName"


class UploadCondition(StrEnum):
    """When an output file is uploaded."""

    SUCCESS = "tasksuccess"
    FAILURE = "taskfailure"
    COMPLETION = "taskcompletion"

    def holds(self, exit_code: int | None) -> bool:
        """Whether it is met by a task that ended so; only exit code 0 is a success."""
        if self is UploadCondition.COMPLETION:
            return True
        return (exit_code == 0) == (self is UploadCondition.SUCCESS)


@dataclass(frozen=True, slots=True)
class ResourceFile:
    """One source of files. `address` is a URL, or a container's name for `Source.AUTO_STORAGE`; it may hold a secret.

    `path` is relative to the task's working directory: the file's name for `Source.HTTP`, else a directory ("" for the
    working directory itself).
    """

    source: Source
    address: str
    path: str = ""
    prefix: str = ""
    mode: int = FILE_MODE_DEFAULT

    def __repr__(self) -> str:
        return f"ResourceFile({self.source.value}, path={self.path!r})"


@dataclass(frozen=True, slots=True)
class OutputFile:
    """What to upload where, and when. `container` is a URL that may hold a secret; `path` "" means its root."""

    pattern: str
    container: str
    path: str = ""
    condition: UploadCondition = UploadCondition.COMPLETION
    headers: tuple[tuple[str, str], ...] = ()

    def __repr__(self) -> str:
        return f"OutputFile({self.pattern!r})"
