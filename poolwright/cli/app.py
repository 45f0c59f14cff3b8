"""The commands and their options."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import httpx
import typer
from rich.console import Console
from rich.table import Table

from poolwright import __version__
from poolwright.cli import autoscale
from poolwright.cli.client import Client, Refused
from poolwright.cli.events import EventSettings, events
from poolwright.cli.images import BadFile, image_app
from poolwright.cli.life import show_life
from poolwright.cli.limits import (
    AllowMismatch,
    AllowReimage,
    CoreQuota,
    Grace,
    JobQuota,
    KillGrace,
    MaxStep,
    PoolQuota,
    Regrow,
    RelaxAuth,
    Simulate,
    SupportEnds,
    TaskLife,
    read_ends,
    read_task_life,
)
from poolwright.cli.openings import OpenToNodes, ports
from poolwright.cli.places import CREDENTIALS, NoService, default_data_dir, load_credentials
from poolwright.cli.storage import (
    BaseCache,
    Exports,
    ReadyFile,
    ReserveDisk,
    StorageClasses,
    read_classes,
    read_exports,
)
from poolwright.cli.transfers import (
    AutoStorage,
    ContainerStore,
    FileArchive,
    StorageAccounts,
    TransferNetworks,
    networks,
    whole,
)

app = typer.Typer(
    name="poolwright",
    help="Pools of compute nodes made from your own machine images, behind the Azure Batch API.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
explain_app = typer.Typer(no_args_is_help=True, help="Why something waits or failed.")
node_app = typer.Typer(no_args_is_help=True, help="What an operator may do to a node.")
app.add_typer(explain_app, name="explain")
app.add_typer(node_app, name="node")
app.add_typer(image_app, name="image")
app.add_typer(autoscale.app, name="autoscale")
app.command()(events)

DataDir = Annotated[
    Path | None, typer.Option("--data-dir", help="The service's data directory.", show_default=False)
]
ImageLimit = Annotated[
    int,
    typer.Option(
        min=0, help="Most nodes of the kind over all pools sharing a custom image or its snapshots."
    ),
]


class LogLevel(StrEnum):
    """What the service writes to its standard error."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"
    DEBUG = "debug"


@app.command()
def up(
    data_dir: DataDir = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="HTTPS port; 0 for a free one.")] = 8443,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    ready_file: ReadyFile = None,
    base_cache: BaseCache = None,
    grace: Grace = 600.0,
    kill_grace: KillGrace = 30.0,
    task_life: TaskLife = "180d",
    image_limit_dedicated: ImageLimit = 2500,
    image_limit_low_priority: ImageLimit = 1000,
    core_quota_dedicated: CoreQuota = None,
    core_quota_low_priority: CoreQuota = None,
    pool_quota: PoolQuota = 500,
    active_job_quota: JobQuota = 1000,
    relax_custom_image_auth: RelaxAuth = False,
    allow_agent_mismatch: AllowMismatch = False,
    allow_reimage: AllowReimage = False,
    simulate: Simulate = False,
    regrow: Regrow = True,
    autoscale_max_step: MaxStep = None,
    image_support_ends: SupportEnds = None,
    auto_storage: AutoStorage = None,
    storage_account: StorageAccounts = None,
    transfer_networks: TransferNetworks = None,
    file_archive: FileArchive = 1024,
    container_images: ContainerStore = 51_200,
    export: Exports = None,
    reserve_disk: ReserveDisk = None,
    storage_class: StorageClasses = None,
    open_to_nodes: OpenToNodes = None,
    event_settings: EventSettings = None,
    log_level: Annotated[LogLevel, typer.Option(help="What is written to standard error.")] = LogLevel.INFO,
) -> None:
    """Run the service in the foreground until SIGTERM or Ctrl-C."""
    from poolwright.domain.limits import Quotas, Settings  # here: only this command needs domain and service
    from poolwright.serve.options import Options
    from poolwright.serve.running import run

    settings = Settings(
        Quotas(pool_quota, active_job_quota, core_quota_dedicated, core_quota_low_priority,
               image_limit_dedicated, image_limit_low_priority),
        strict_custom_image_auth=not relax_custom_image_auth, match_image_agent=not allow_agent_mismatch,
        allow_reimage=allow_reimage, kill_grace_s=kill_grace, task_life=read_task_life(task_life),
        regrow_large_pools=regrow, exports=read_exports(export), storage_classes=read_classes(storage_class),
        autoscale_max_step=autoscale_max_step, support_ends=read_ends(image_support_ends),
    )  # fmt: skip
    options = Options(
        (data_dir or default_data_dir()).resolve(), host, port,
        ready_file=ready_file.resolve() if ready_file else None,
        base_cache=base_cache.resolve() if base_cache else None,
        grace_s=grace, reserve_disk_mib=reserve_disk, settings=settings,
        log_level=log_level.value, simulate=simulate, auto_storage=whole(auto_storage),
        storage_accounts=tuple(path.resolve() for path in storage_account or ()),
        file_archive_mib=file_archive, container_images_mib=container_images,
        transfer_networks=networks(transfer_networks),
        open_to_nodes=ports(open_to_nodes),
        event_settings=whole(event_settings),
    )  # fmt: skip
    raise typer.Exit(run(options))


@app.command()
def down(data_dir: DataDir = None) -> None:
    """Stop the service and every node and build machine of its data directory; records and disks stay."""
    from poolwright.serve.stopping import StillRunning, stop

    try:
        typer.echo(stop((data_dir or default_data_dir()).resolve()))
    except StillRunning as error:
        typer.echo(f"poolwright: {error}", err=True)
        raise typer.Exit(1) from None


@app.command()
def env(data_dir: DataDir = None) -> None:
    """Print shell lines that point the SDKs and `az` at the service."""
    from poolwright.serve.environment import environment_lines

    place = (data_dir or default_data_dir()).resolve()
    known = load_credentials(place)
    lines = environment_lines(known.endpoint, known.account_endpoint, known.ca_file, place / CREDENTIALS)
    typer.echo("\n".join(lines))


@app.command()
def version() -> None:
    """Print the version."""
    typer.echo(__version__)


def _ask(data_dir: Path | None, method: str, *parts: str) -> Any:
    with Client(load_credentials((data_dir or default_data_dir()).resolve())) as client:
        return client.call(method, *parts)


def show_explanations(answer: Any) -> None:
    """Print what the service says of something, one line for each explanation, wrapped."""
    table = Table(show_header=True, box=None, pad_edge=False)
    table.add_column("code", no_wrap=True)  # a code is copied and searched for
    for column in ("why", "next step"):
        table.add_column(column, overflow="fold")
    for row in answer.get("value", []):
        table.add_row(row["code"], row["message"], row.get("nextStep", ""))
    Console().print(table)


@explain_app.command("pool")
def explain_pool(pool: str, data_dir: DataDir = None) -> None:
    """Why a pool's size is not its target."""
    show_explanations(_ask(data_dir, "GET", "pools", pool, "explain"))


@explain_app.command("node")
def explain_node(pool: str, node: str, data_dir: DataDir = None) -> None:
    """Why a node is not idle, what it went through, and how long that took."""
    answer = _ask(data_dir, "GET", "pools", pool, "nodes", node, "explain")
    show_explanations(answer)
    show_life(answer)


@explain_app.command("job")
def explain_job(job: str, data_dir: DataDir = None) -> None:
    """What a job waits for."""
    show_explanations(_ask(data_dir, "GET", "jobs", job, "explain"))


@explain_app.command("task")
def explain_task(job: str, task: str, data_dir: DataDir = None) -> None:
    """Why a task waits, or how it ended."""
    show_explanations(_ask(data_dir, "GET", "jobs", job, "tasks", task, "explain"))


@explain_app.command("schedule")
def explain_schedule(schedule: str, data_dir: DataDir = None) -> None:
    """When a job schedule makes its next job, or why it makes none."""
    show_explanations(_ask(data_dir, "GET", "jobschedules", schedule, "explain"))


@node_app.command("preempt")
def preempt(pool: str, node: str, data_dir: DataDir = None) -> None:
    """Take a low-priority node away, as pressure on the host would; its tasks are requeued."""
    _ask(data_dir, "POST", "pools", pool, "nodes", node, "preempt")
    typer.echo(f"{node} is being preempted")


@node_app.command("logs")
def logs(pool: str, node: str, data_dir: DataDir = None) -> None:
    """Print the logs of a node: what the service and the host agent know of it, and how its machine is made."""
    for file in _ask(data_dir, "GET", "pools", pool, "nodes", node, "logs").get("value", []):
        typer.echo(f"--- {file['name']}\n{file['content'].rstrip()}")


def main() -> None:
    """Run the command line; errors a user can mend are one line on stderr and exit code 1."""
    try:
        app(prog_name="poolwright")
    except (NoService, Refused, BadFile) as error:
        typer.echo(f"poolwright: {error}", err=True)
        sys.exit(1)
    except httpx.HTTPError as error:
        typer.echo(f"poolwright: the service cannot be reached (is it running?): {error}", err=True)
        sys.exit(1)
