"""Commands about images: bringing a disk file in from outside, and what is wrong with an image."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from poolwright.cli.management import Management
from poolwright.cli.places import default_data_dir, load_credentials

image_app = typer.Typer(no_args_is_help=True, help="Images made from your own disks.")

PAGE_BYTES = 512
PIECE_BYTES = 4 * 1024**2
LEAST_BYTES = 20 * 1024**2 + PAGE_BYTES  # public minimum of an upload; smaller files are padded with zeros
ACCESS_S = 24 * 3600

DataDir = Annotated[
    Path | None, typer.Option("--data-dir", help="The service's data directory.", show_default=False)
]


class BadFile(Exception):
    """The file given cannot be imported, or the image not checked."""


@image_app.command("import")
def import_image(
    file: Annotated[
        Path,
        typer.Argument(
            help="VHD, VHDX, qcow2, VMDK, raw disk, tar of a root file system, or container image saved as an archive."
        ),
    ],
    name: Annotated[str, typer.Option(help="Name of the image.")],
    group: Annotated[str, typer.Option(help="Resource group; made when there is none.")] = "images",
    location: Annotated[str, typer.Option(help="Location of the group and the image.")] = "local",
    data_dir: DataDir = None,
) -> None:
    """Upload a generalized disk and make an image of it. Prints the image's id, and on standard error what was found
    in it that will trouble its nodes. Exit code 3 when nodes will fail.
    """
    if not file.is_file():
        raise BadFile(f"{file} is no file")
    known = load_credentials((data_dir or default_data_dir()).resolve())
    with Management(known) as service:
        found = service.call("GET", "resourceGroups")["value"]
        if not any(entry["name"].lower() == group.lower() for entry in found):
            service.call("PUT", "resourceGroups", group, body={"location": location})
        compute = ("resourceGroups", group, "providers", "Microsoft.Compute")
        disk = (*compute, "disks", f"{name}-import")
        source = _upload(service, disk, file, location)
        typer.echo(f"{file.name} is uploaded; making the image", err=True)
        os_disk = {"osType": "Linux", "osState": "Generalized", "managedDisk": {"id": source}}
        body = {"location": location, "properties": {"storageProfile": {"osDisk": os_disk}}}
        service.follow("PUT", *compute, "images", name, body=body)
        service.follow("DELETE", *disk)  # the image has its own frozen copy
        made = service.call("GET", *compute, "images", name)
    typer.echo(made["id"])
    _tell_found(_known(made)["findings"], Console(stderr=True))


@image_app.command("check")
def check(
    name: Annotated[str, typer.Argument(help="Name of the image.")],
    group: Annotated[str, typer.Option(help="Resource group.")] = "images",
    fix: Annotated[
        bool, typer.Option("--fix", help="Make a corrected copy, in which what may safely go is gone.")
    ] = False,
    into: Annotated[
        str | None, typer.Option("--into", help="Name of the corrected copy; NAME-fixed if not given.")
    ] = None,
    data_dir: DataDir = None,
) -> None:
    """What in an image will trouble its nodes, as found when it was made. Exit code 3 when nodes will fail.

    An image is never written again, and pools may use it: --fix leaves it and makes another, whose id is printed.
    """
    with Management(load_credentials((data_dir or default_data_dir()).resolve())) as service:
        images = ("resourceGroups", group, "providers", "Microsoft.Compute", "images")
        image = service.call("GET", *images, name)
        known = _known(image)
        if fix and known["findings"]:
            name = into or f"{name}-fixed"
            body = {
                "location": image["location"],
                "properties": {"poolwright": {"correctedFrom": image["id"]}},
            }
            service.follow("PUT", *images, name, body=body)
            image = service.call("GET", *images, name)
            known = _known(image)
            _tell_fixed(known["fixed"])
            typer.echo(image["id"])
    if not known["findings"]:
        typer.echo(f"{name}: nothing found")
        return
    _tell_found(known["findings"], Console())


def _tell_found(findings: list[dict[str, str]], console: Console) -> None:
    """Print the findings; typer.Exit(3) when nodes will fail by one of them."""
    if not findings:
        return
    table = Table(show_header=True, box=None, pad_edge=False)
    for column in ("severity", "code", "what", "fix"):
        table.add_column(column, no_wrap=column in ("severity", "code"), overflow="fold")
    for found in findings:
        table.add_row(*(escape(found[word]) for word in ("severity", "code", "message", "fix")))
    console.print(table)
    if any(found["severity"] == "error" for found in findings):
        raise typer.Exit(3)


def _known(image: Any) -> Any:
    known = image["properties"].get("poolwright", {})
    if "findings" not in known:
        state = image["properties"]["provisioningState"]
        raise BadFile(f"the image {image['name']} is not made yet: its state is {state}")
    return known


def _tell_fixed(fixed: list[dict[str, str]]) -> None:
    table = Table(show_header=True, box=None, pad_edge=False)
    for column in ("fixed", "what it was"):
        table.add_column(column, overflow="fold")
    for found in fixed:
        table.add_row(escape(found["code"]), escape(found["message"]))
    Console(stderr=True).print(table)


def _upload(service: Management, disk: tuple[str, ...], file: Path, location: str) -> str:
    size = max(file.stat().st_size, LEAST_BYTES)
    size = -(-size // PAGE_BYTES) * PAGE_BYTES
    creation = {"createOption": "Upload", "uploadSizeBytes": size}
    body = {"location": location, "properties": {"osType": "Linux", "creationData": creation}}
    made: dict[str, Any] = service.follow("PUT", *disk, body=body)
    wanted = {"access": "Write", "durationInSeconds": ACCESS_S}
    url = service.call("POST", *disk, "beginGetAccess", body=wanted)["accessSAS"]
    service.upload(url, _pages(file))
    service.follow("POST", *disk, "endGetAccess")
    return str(made["id"])


def _pages(file: Path) -> Iterator[tuple[int, bytes]]:
    """What of the file is not zero, in whole pages; holes are not read."""
    with file.open("rb") as stream:
        end = stream.seek(0, os.SEEK_END)
        offset = 0
        while offset < end:
            try:
                offset = os.lseek(stream.fileno(), offset, os.SEEK_DATA) // PAGE_BYTES * PAGE_BYTES
            except OSError:  # only a hole is left
                return
            data = os.pread(stream.fileno(), PIECE_BYTES, offset)
            if data.strip(b"\0"):
                yield offset, data.ljust(-(-len(data) // PAGE_BYTES) * PAGE_BYTES, b"\0")
            offset += PIECE_BYTES
