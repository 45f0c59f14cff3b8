"""Options of `poolwright up` about the files of tasks."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Annotated

import typer

AutoStorage = Annotated[
    Path | None,
    typer.Option(
        help="File (mode 0600) with the connection string of storage for accounts without autoStorage of their own."
    ),
]
StorageAccounts = Annotated[
    list[Path] | None,
    typer.Option(
        "--storage-account",
        help="File (mode 0600) with the connection string of storage outside (Azure Storage, Azurite); a storage "
        "account of its name stands for it. May be repeated.",
    ),
]
TransferNetworks = Annotated[
    list[str] | None,
    typer.Option(
        "--transfer-network",
        help="Network (CIDR) that files of tasks may come from and go to; may be repeated. Without it: all but "
        "link-local and metadata addresses.",
    ),
]

ContainerStore = Annotated[
    int,
    typer.Option(
        min=1,
        help="MiB of unpacked container images kept at most; those that no node has give way, the longest unused "
        "first.",
    ),
]
FileArchive = Annotated[
    int,
    typer.Option(
        min=0,
        help="MiB of task files kept when the node that has them goes, small files only, the oldest give way; "
        "0 to keep none.",
    ),
]


def networks(given: list[str] | None) -> tuple[str, ...] | None:
    """The networks, checked. Raises typer.BadParameter."""
    for text in given or ():
        try:
            ipaddress.ip_network(text)
        except ValueError as error:
            raise typer.BadParameter(str(error), param_hint="--transfer-network") from None
    return tuple(given) if given else None


def whole(path: Path | None) -> Path | None:
    """The path from the root, whatever the service's directory will be."""
    return None if path is None else path.resolve()
