"""Who may import whom. The table below is the law; import-linter judges by it, module by module.

Whatever the table does not allow is forbidden: a new room, module or library is refused until it is named here.
"""

from __future__ import annotations

import ast
import configparser
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tools.paths import ROOT, VENV

PACKAGE = "poolwright"
_ANY = ("*",)


@dataclass(frozen=True, slots=True)
class Room:
    """A module with everything in it. The most specific room that holds a module is the module's room."""

    name: str
    may_use: tuple[str, ...] = ()
    """Rooms or modules of the package, each with what is in it; `*` for all but `never`. All may use the package's
    own `__init__`, which holds its version."""
    libraries: tuple[str, ...] = ()
    """Packages outside the standard library; `*` for all."""
    never: tuple[str, ...] = ()


_EDGES = ("serve", "cli", "portal")

ROOMS = (
    Room("domain"),
    Room("decide", ("domain",), ("lark",)),
    Room("commands", ("domain", "store.base", "decide.autoscale")),
    Room("store", ("domain",), _ANY),
    Room("reconcile", ("decide", "domain", "store.base", "engines.base", "images.base")),
    Room("engines.base", ("domain",)),
    Room("engines.fake", ("domain", "engines.base")),
    Room("engines.sandbox", ("domain", "engines.base", "agent")),
    Room("engines.process", ("domain", "engines.base", "agent")),
    Room("engines.qemu", ("domain", "engines.base")),
    Room("engines.incus", ("domain", "engines.base"), _ANY),
    Room("engines.slurm", ("domain", "engines.base"), _ANY),
    Room("engines", ("domain", "engines.base"), ("msgspec",)),
    Room("images", ("domain",)),
    Room("agent", ("domain",)),
    Room("transfer", ("domain", "agent", "images.layers"), ("azure", "requests", "urllib3")),
    Room("wire", ("domain",), ("msgspec", "lark")),
    Room("api", ("commands", "wire", "domain", "store.base"), _ANY),
    Room("sim", _ANY, (), ("api", *_EDGES)),
    Room("portal", ("domain",), _ANY),
    Room("cli", ("domain", "serve"), _ANY),
    Room("serve", _ANY, _ANY, ("cli", "portal")),
    Room("__init__"),
)


def problems(root: Path = ROOT) -> list[str]:
    """Every import below `root` that the table forbids, and every module that is in no room."""
    files = {_module(file.relative_to(root / PACKAGE)): file for file in (root / PACKAGE).rglob("*.py")}
    homeless = [
        f"{name}: in no room; name its room in tools/import_rules.py" for name in files if not _room(name)
    ]
    if not files or homeless:
        return sorted(homeless)
    private = root / ".dev"
    private.mkdir(exist_ok=True)
    config = private / "importlinter.ini"
    with config.open("w") as file:
        _contracts(sorted(files), _libraries(files.values())).write(file)
    command = [
        str(VENV / "bin" / "lint-imports"),
        "--config",
        str(config),
        "--cache-dir",
        str(private / "imports"),
    ]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    return [] if done.returncode == 0 else [_explained(done.stdout + done.stderr)]


def _module(file: Path) -> str:
    """Dotted name inside the package, without the package's own name; the package itself is `__init__`."""
    parts = list(file.with_suffix("").parts)
    if parts[-1] == "__init__" and len(parts) > 1:
        parts.pop()
    return ".".join(parts)


def _inside(module: str, name: str) -> bool:
    return module == name or module.startswith(f"{name}.")


def _room(module: str) -> Room | None:
    holding = [room for room in ROOMS if _inside(module, room.name)]
    return max(holding, key=lambda room: len(room.name), default=None)


def _may(room: Room, module: str) -> bool:
    if any(_inside(module, name) for name in room.never):
        return False
    if room.may_use == _ANY or _room(module) == room or module == "__init__":
        return True
    return any(_inside(module, name) for name in room.may_use)


def _libraries(files: Iterable[Path]) -> set[str]:
    """Top-level names that the files import from outside the standard library and the package."""
    names: set[str] = set().union(*map(_imported, files))
    return names - set(sys.stdlib_module_names) - {PACKAGE}


def _imported(file: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(file.read_text(), str(file))):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.partition(".")[0])
    return names


def _contracts(modules: list[str], libraries: set[str]) -> configparser.ConfigParser:
    """One contract a room: its modules, and every module and library that they must not import directly."""
    config = configparser.ConfigParser(interpolation=None)
    config["importlinter"] = {"root_package": PACKAGE, "include_external_packages": "True"}
    for room in ROOMS:
        members = [module for module in modules if _room(module) == room]
        foreign = [module for module in modules if not _may(room, module)]
        outside = [] if room.libraries == _ANY else sorted(libraries - set(room.libraries))
        if not members or not (foreign or outside):
            continue
        config[f"importlinter:contract:{room.name}"] = {
            "name": f"{room.name} keeps to its room",
            "type": "forbidden",
            "source_modules": _lines(map(_full, members)),
            "forbidden_modules": _lines([*map(_full, foreign), *outside]),
            "allow_indirect_imports": "True",
            "as_packages": "False",
        }
    return config


def _full(module: str) -> str:
    return PACKAGE if module == "__init__" else f"{PACKAGE}.{module}"


def _lines(names: Iterable[str]) -> str:
    return "".join(f"\n{name}" for name in names)


def _explained(report: str) -> str:
    """import-linter's report from the broken contracts on, which is the part to read."""
    _, mark, broken = report.partition("Broken contracts")
    return (mark + broken if mark else report).strip()
