"""The option of `poolwright up` that lets nodes reach servers of the host."""

from __future__ import annotations

from typing import Annotated

import typer

#: Sets in one rule of the packet filter; more is a slip of the pen.
PORTS_MAX = 100

OpenToNodes = Annotated[
    str | None,
    typer.Option(
        metavar="PORT[,PORT...]",
        help="TCP and UDP ports of this host that nodes may reach, besides the service's own and name servers; their "
        "servers must listen on more than loopback.",
    ),
]


def ports(given: str | None) -> tuple[int, ...]:
    """The ports, in order, each once. Raises typer.BadParameter."""
    words = [] if given is None else [word.strip() for word in given.split(",")]
    for word in words:
        if not (word.isascii() and word.isdigit() and len(word) <= 5 and 1 <= int(word) <= 65535):
            raise typer.BadParameter(f"{word!r} is no port from 1 to 65535", param_hint="--open-to-nodes")
    found = tuple(sorted({int(word) for word in words}))
    if len(found) > PORTS_MAX:
        raise typer.BadParameter(f"at most {PORTS_MAX} ports", param_hint="--open-to-nodes")
    return found
