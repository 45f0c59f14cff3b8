"""Options of `poolwright up` about the host's storage."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:  # the other commands need no domain
    from poolwright.domain.storage import Export, StorageClass

BaseCache = Annotated[
    Path | None, typer.Option(envvar="POOLWRIGHT_BASE_CACHE", help="Where built base images are kept.")
]
ReadyFile = Annotated[Path | None, typer.Option(help="JSON file that appears when the service is ready.")]
ReserveDisk = Annotated[
    int | None,
    typer.Option(
        min=0,
        help="MiB kept free on the data directory's disk: below it nothing new is taken in, below half nodes stop.",
        show_default="512, at most a tenth of the disk",
    ),
]
Exports = Annotated[
    list[str] | None,
    typer.Option(
        "--export",
        metavar="NAME=DIR[:ro]",
        help="Let pools mount this directory of the host as poolwright:NAME (read-only with :ro). May be repeated.",
    ),
]
StorageClasses = Annotated[
    list[str] | None,
    typer.Option(
        "--storage-class",
        metavar="TYPE=DIR",
        help="Keep disks of this type (Standard_LRS, StandardSSD_LRS, Premium_LRS) in this directory. May be repeated.",
    ),
]
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


def read_classes(given: list[str] | None) -> tuple[StorageClass, ...]:
    """The directories of types of disks, by their real paths. Raises typer.BadParameter naming what is wrong."""
    from poolwright.domain.storage import DISK_TYPES, StorageClass

    classes: list[StorageClass] = []
    for text in given or ():
        name, equals, place = text.partition("=")
        type = DISK_TYPES.get(name.lower())
        path = Path(place)
        if not equals or type is None:
            reason = f"TYPE=DIR, where TYPE is one of {', '.join(DISK_TYPES.values())}"
        elif any(type == known.type for known in classes):
            reason = f"the type {type} is given twice"
        elif not path.is_dir():
            reason = "it is not a directory" if path.exists() else "there is no such directory"
        else:
            classes.append(StorageClass(type, str(path.resolve())))
            continue
        raise typer.BadParameter(f"{text!r}: {reason}", param_hint="--storage-class")
    return tuple(classes)


def read_exports(given: list[str] | None) -> tuple[Export, ...]:
    """The exported directories, as they are now. Raises typer.BadParameter naming what is wrong."""
    from poolwright.domain.storage import Export

    exports: list[Export] = []
    for text in given or ():
        name, equals, place = text.partition("=")
        read_only = place.endswith(":ro")
        path = Path(place.removesuffix(":ro"))
        if not equals or not _NAME.fullmatch(name):
            reason = "NAME=DIR or NAME=DIR:ro; a name has up to 64 letters, digits, '-' and '_'"
            raise typer.BadParameter(f"{text!r}: {reason}", param_hint="--export")
        if any(name == export.name for export in exports):
            raise typer.BadParameter(f"{text!r}: the name {name} is given twice", param_hint="--export")
        try:
            real = path.resolve(strict=True)
            seen = real.stat()
        except OSError as error:
            raise typer.BadParameter(f"{text!r}: {error.strerror}", param_hint="--export") from None
        if not real.is_dir() or real == Path(os.sep):
            reason = "it is not a directory" if not real.is_dir() else "the host's root is not exported"
            raise typer.BadParameter(f"{text!r}: {reason}", param_hint="--export")
        exports.append(Export(name, str(real), read_only, seen.st_dev, seen.st_ino))
    return tuple(exports)
