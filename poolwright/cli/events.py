"""`poolwright events`: what happened, and what happens; and the service's options about it."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Annotated, Any

import typer

from poolwright.cli.client import Client
from poolwright.cli.places import default_data_dir, load_credentials

EventSettings = Annotated[
    Path | None,
    typer.Option(help="JSON file (mode 0600): which events are kept, how long, and where they are sent."),
]

_PAGE = 1000


def events(
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what comes.")] = False,
    kind: Annotated[
        list[str] | None,
        typer.Option(help="Only these, as task.fail, pool.* or PoolResizeStartEvent; may be repeated."),
    ] = None,
    after: Annotated[
        int | None, typer.Option(min=0, help="Those behind this number; without it all that are kept.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document a line.")] = False,
    data_dir: Annotated[
        Path | None, typer.Option("--data-dir", help="The service's data directory.", show_default=False)
    ] = None,
) -> None:
    """Print the account's events, oldest first; with --follow alone only those that come from now on."""
    query = {} if not kind else {"kind": ",".join(kind)}
    query["after"] = str(after) if after is not None else "end" if follow else "0"
    with Client(load_credentials((data_dir or default_data_dir()).resolve())) as client:
        if follow:
            with contextlib.suppress(KeyboardInterrupt):
                for name, data in client.watch("events", query=query):
                    _print(name, json.loads(data), as_json)
            return
        while True:
            page = client.call("GET", "events", query=query | {"maxresults": str(_PAGE)})
            for event in page["value"]:
                _print(event.get("eventName", event["kind"]), event, as_json)
            if "odata.nextLink" not in page:
                return
            query["after"] = str(page["after"])


def _print(name: str, event: dict[str, Any], as_json: bool) -> None:
    if name == "gap":
        typer.echo(f"events before {event['first']} are forgotten already", err=True)
        return
    if as_json:
        typer.echo(json.dumps(event))
        return
    typer.echo(
        f"{event['number']:>8}  {event['time'][:23]:<23}  {name:<24}  {event['subject']}{_more(event)}"
    )


def _more(event: dict[str, Any]) -> str:
    """The few words that tell most."""
    properties = event["properties"]
    run = properties.get("executionInfo", {})
    node = properties.get("nodeInfo", {}).get("nodeId")
    told = {
        "node": node,
        "exit": run.get("exitCode"),
        "why": run.get("schedulingError", {}).get("code") or properties.get("reason"),
        "result": properties.get("resultCode"),
    }
    words = [f"{key}={value}" for key, value in told.items() if value not in (None, "")]
    return "  " + " ".join(words) if words else ""
