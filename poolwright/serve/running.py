"""A service from start to end: signals, the ready file, what the user is told."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import sys
from pathlib import Path
from shlex import quote

import uvloop

from poolwright.api.identity import CertificateError, SigningKeyError
from poolwright.images.base import PlaceUnusable
from poolwright.serve.credentials import NAME, Known, write_whole
from poolwright.serve.environment import environment_lines
from poolwright.serve.house import House
from poolwright.serve.listening import HttpsServer, open_sockets
from poolwright.serve.options import Options
from poolwright.store.base import StoreError

_log = logging.getLogger(__name__)


def run(options: Options) -> int:
    """Serve until SIGTERM or SIGINT. Returns the exit code: 0 after a clean end, 1 when it could not start."""
    logging.basicConfig(
        level=options.log_level.upper(),
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        stream=sys.stderr,
    )
    try:
        return uvloop.run(_serve(options))
    except (StoreError, CertificateError, SigningKeyError, PlaceUnusable, OSError) as error:
        _log.error("the service cannot start: %s", error)
        return 1


async def _serve(options: Options) -> int:
    _make_data_dir(options.data_dir)
    _forget_dead(options.ready_file)
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    house = House(options)
    try:
        sockets = open_sockets(options.host, options.port)
        app, tls, known = await house.open(sockets[0].getsockname()[1])
        server = HttpsServer(app, tls)
        serving = asyncio.create_task(server.serve(sockets), name="https")
        await server.wait_started(serving)
        if not serving.done():
            _announce(options, known)
            await asyncio.wait(
                {serving, asyncio.ensure_future(ended.wait())}, return_when=asyncio.FIRST_COMPLETED
            )
        house.feed.close()  # followers would hold the end for the whole grace
        server.should_exit = True
        await serving
    finally:
        if options.ready_file is not None and _told_by(options.ready_file) == os.getpid():
            options.ready_file.unlink(missing_ok=True)
        await house.close()
    _log.info("the service has ended")
    return 0 if ended.is_set() else 1


def _make_data_dir(path: Path) -> None:
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise OSError(f"the data directory {path} cannot be made: {error.strerror}") from None


def _told_by(ready_file: Path) -> int | None:
    """The process that a ready file tells of; None when there is no such file or it is not one of ours."""
    try:
        pid = json.loads(ready_file.read_bytes())["pid"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return pid if isinstance(pid, int) else None


def _forget_dead(ready_file: Path | None) -> None:
    """Remove what a killed service left, so that whoever waits for the file does not read it; a living one's stays."""
    if ready_file is None:
        return
    pid = _told_by(ready_file)
    if pid is not None and not Path(f"/proc/{pid}").exists():
        ready_file.unlink(missing_ok=True)


def _own_command() -> str:
    """How a user types this program: its script beside the interpreter, which need not be on anyone's PATH."""
    script = Path(sys.executable).with_name("poolwright")
    return quote(str(script)) if script.exists() else "poolwright"


def _announce(options: Options, known: Known) -> None:
    write_whole(options.data_dir / NAME, known)
    if options.ready_file is not None:
        try:
            write_whole(options.ready_file, known)
        except OSError as error:
            text = f"the ready file {options.ready_file} cannot be written: {error.strerror}"
            raise OSError(text) from None
    _log.info("serving at %s", known.endpoint)
    place = options.data_dir / NAME
    lines = [
        "Poolwright is ready.",
        f"  endpoint          {known.endpoint}",
        f"  CA file           {known.ca_file}",
        f"  credentials file  {place}",
        "For the SDKs and az, paste these lines into a shell, or type",
        f'  eval "$({_own_command()} env --data-dir {quote(str(options.data_dir))})"',
        *environment_lines(known.endpoint, known.account_endpoint, known.ca_file, place),
        "",
    ]
    sys.stdout.write("\n".join(lines))
    sys.stdout.flush()
