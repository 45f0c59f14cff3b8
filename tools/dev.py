"""The subcommands of `./dev`. Each brings what it needs first, so that a fresh clone can start with any of them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NoReturn

from tools import bootstrap, system_packages
from tools.failure import Failure
from tools.paths import PRIVATE, ROOT, VENV, VENV_PYTHON, shown

Arguments = Sequence[str]


@dataclass(frozen=True, slots=True)
class Command:
    """One subcommand: how it is called, what it does in one line, and the function that does it."""

    usage: str
    summary: str
    run: Callable[[Arguments], int]


def setup(_: Arguments) -> int:
    """Everything that any other subcommand would bring."""
    bootstrap.ensure()
    system_packages.ensure()
    bootstrap.say(f"ready: {shown(VENV_PYTHON)}")
    return 0


def up(arguments: Arguments) -> int:
    """Become the service, so that signals reach it and its process id is ours."""
    os.environ.setdefault("POOLWRIGHT_BASE_CACHE", str(PRIVATE / "cache" / "base"))  # the demo's own
    return _become("poolwright.cli", ["up", *arguments], needs_host=True)


def poolwright(arguments: Arguments) -> int:
    """The command line of an installed package, from the checkout."""
    return _become("poolwright.cli", arguments, needs_host=False)


def demo(arguments: Arguments) -> int:
    """The whole story of the README, through the official clients."""
    return _become("demo", arguments, needs_host=True)


def bench(arguments: Arguments) -> int:
    """The measurements against their floors."""
    return _become("bench", arguments, needs_host=True)


def sim(arguments: Arguments) -> int:
    """The system in one thread on a virtual clock, with faults."""
    return _become("poolwright.sim", arguments, needs_host=False)


def test(arguments: Arguments) -> int:
    """Every test, or those of the areas and paths named."""
    bootstrap.ensure()
    return _in_environment("tools.run_tests", arguments)


def check(arguments: Arguments) -> int:
    """Everything that can be said about the code without running it."""
    bootstrap.ensure()
    return _in_environment("tools.run_checks", arguments)


def fmt(arguments: Arguments) -> int:
    """Format, apply the linter's safe corrections, tighten the ratchets."""
    bootstrap.ensure()
    return _in_environment("tools.run_checks", ["--fix", *arguments])


def lock(_: Arguments) -> int:
    """Compile the pinned requirements again, then install them."""
    bootstrap.lock()
    bootstrap.ensure()
    return 0


def show_help(_: Arguments) -> int:
    """The list of subcommands."""
    print("usage: ./dev SUBCOMMAND [ARGUMENTS]\n")
    width = max(len(command.usage) for command in COMMANDS.values())
    for command in COMMANDS.values():
        print(f"  {command.usage.ljust(width)}  {command.summary}")
    print("\nEach subcommand does its own set-up first, in .dev/ (delete that folder to start anew).")
    print("POOLWRIGHT_PYTHON names the python3 (3.11 or newer) to build the environment with.")
    return 0


COMMANDS = {
    "demo": Command("demo", "play the whole story, from nothing to the results of a batch job", demo),
    "up": Command("up [OPTIONS]", "run the service; --data-dir D --port P --ready-file F", up),
    "poolwright": Command(
        "poolwright COMMAND...",
        "the program itself: env, explain, events, image, node, autoscale, down",
        poolwright,
    ),
    "test": Command(
        "test [AREA|PATH|OPTION...]", "run tests: all, or unit contract wire sim e2e, or paths", test
    ),
    "check": Command("check [NAME...]", "format, lint, types, import rules, ratchets, tidiness", check),
    "fmt": Command("fmt [PATH...]", "format the code, apply safe corrections, tighten the ratchets", fmt),
    "bench": Command("bench [NAME]", "measure, and compare with the floors", bench),
    "sim": Command("sim [--seed N]", "simulate with faults from a seed", sim),
    "setup": Command("setup", "only bring what the others need", setup),
    "lock": Command("lock", "pin the newest allowed requirements again", lock),
    "help": Command("help", "this list", show_help),
}


def _become(module: str, arguments: Arguments, *, needs_host: bool) -> NoReturn:
    """Replace this process by `python -m module`, with the caller's directory, standard streams and signals."""
    bootstrap.ensure()
    if needs_host:
        system_packages.ensure()
    folder = ROOT.joinpath(*module.split("."))
    if not (folder / "__main__.py").exists() and not folder.with_suffix(".py").exists():
        raise Failure(f"this checkout has no {module.replace('.', '/')}", 2)
    sys.stdout.flush()
    os.execve(VENV_PYTHON, [str(VENV_PYTHON), "-P", "-m", module, *arguments], _environment())


def _in_environment(module: str, arguments: Arguments) -> int:
    command = [str(VENV_PYTHON), "-P", "-m", module, *arguments]
    return subprocess.run(command, env=_environment(), check=False).returncode


def _environment() -> dict[str, str]:
    """The caller's environment with the private one first on PATH."""
    path = os.pathsep.join([str(VENV / "bin"), os.environ.get("PATH", os.defpath)])
    environment = {**os.environ, "PATH": path, "VIRTUAL_ENV": str(VENV)}
    environment.pop("PYTHONPATH", None)
    environment.pop("PYTHONHOME", None)
    return environment


def main(arguments: Arguments) -> int:
    """Run the subcommand named first; returns its exit code (2: no such subcommand, 3: the host is not ready)."""
    name = arguments[0] if arguments else "help"
    name = "help" if name in ("-h", "--help") else name
    command = COMMANDS.get(name)
    if command is None:
        print(f"dev: no subcommand {name!r}; there are: {', '.join(COMMANDS)}", file=sys.stderr)
        return 2
    try:
        return command.run(arguments[1:])
    except Failure as failure:
        print(f"dev: {failure.message}", file=sys.stderr)
        return failure.code
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
