"""`python -m demo`: play the story and exit non-zero if any step is wrong."""

from __future__ import annotations

import argparse
import shutil
import signal
import sys
import tempfile
from pathlib import Path
from types import FrameType

from rich.console import Console

from demo import machine, pool
from demo.clients import connect
from demo.display import Display
from demo.leftovers import leftovers
from demo.pool import wait_until
from demo.service import Service

_BASE_CACHE = Path(__file__).parents[1] / ".dev" / "cache" / "base"


def main(arguments: list[str] | None = None) -> int:
    """Play it. Returns the exit code: 0 only if every step did what it should, 130 when it was interrupted."""
    parser = argparse.ArgumentParser(
        prog="./dev demo", description="From nothing to rendered frames on a pool of clones."
    )
    parser.add_argument(
        "--out", type=Path, default=Path("demo-results"), help="where frames and contact sheet go"
    )
    parser.add_argument("--base-cache", type=Path, default=_BASE_CACHE, help="where the base image is kept")
    parser.add_argument(
        "--data-dir", type=Path, help="the service's data directory (default: a fresh temporary one)"
    )
    options = parser.parse_args(arguments)
    out = options.out.resolve()
    shutil.rmtree(out / "frames", ignore_errors=True)
    out.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix="poolwright-demo-"))
    scratch.chmod(0o755)
    data_dir = (options.data_dir or scratch / "data").resolve()
    display = Display(Console())
    service = Service(data_dir, out / "service.log", options.base_cache.resolve())
    ok = interrupted = False
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        _play(display, service, out)
        ok = True
    except KeyboardInterrupt:
        interrupted = True
        display.console.print("[red bold]Interrupted:[/] cleaning up")
    except Exception as error:  # noqa: BLE001 - the outermost edge: any failure is told and becomes the exit code
        display.console.print(f"[red bold]{type(error).__name__}:[/] {error}", highlight=False)
        display.console.print(
            f"service log ({service.log_file}):\n{service.log_tail()}", highlight=False, markup=False
        )
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)  # nothing may be left behind, however impatient the user
        if not ok:
            service.down()
        ok = _end(display, service, data_dir) and ok
        shutil.rmtree(scratch, ignore_errors=True)
    display.summary()
    if ok:
        display.console.print(f"[green bold]Done.[/] The contact sheet: {out / 'contact-sheet.png'}")
    return 130 if interrupted else 0 if ok else 1


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _play(display: Display, service: Service, out: Path) -> None:
    with display.step("Start the service") as log:
        ready = service.start()
        log.note(f"{ready.endpoint}, process {ready.pid}")
        clients = connect(ready)
    location = machine.create_machine(display, clients)
    machine.prepare_machine(display, clients)
    prepared = machine.freeze_machine(display, clients, location)
    by_token, by_key = pool.create_account(display, clients, location)
    sku = pool.agent_sku(display, by_token)
    pool.create_pool(display, by_token, prepared, sku)
    pool.run_job(display, by_token)
    pool.download(display, by_token, out)
    pool.guard_rails(display, service, clients, by_token, by_key, prepared, sku)
    pool.discard(display, clients, by_token)
    machine.discard(display, clients)


def _end(display: Display, service: Service, data_dir: Path) -> bool:
    try:
        with display.step("Stop the service; look for leftovers") as log:
            code = service.stop()
            log.expect(code == 0, f"the service ended with code {code}")
            wait_until(lambda: not leftovers(data_dir), "nothing of the run left on the host", deadline_s=30)
            log.note("no mount, loop device, network link or process is left")
    except Exception as error:  # noqa: BLE001 - still to be told beside an earlier failure
        display.console.print(
            f"[red bold]{type(error).__name__}:[/] {error} {leftovers(data_dir)}", highlight=False
        )
        return False
    return True


if __name__ == "__main__":
    sys.exit(main())
