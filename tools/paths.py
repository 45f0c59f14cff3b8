"""Where things are in a checkout."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PRIVATE = ROOT / ".dev"
VENV = PRIVATE / "venv"
VENV_PYTHON = VENV / "bin" / "python"
UV_HOME = PRIVATE / "uv"
UV = UV_HOME / "bin" / "uv"
REPORTS = PRIVATE / "reports"

CODE_FOLDERS = ("poolwright", "tests", "tools", "demo", "bench")
"""Folders with Python code; those that exist are formatted, linted and measured."""
TYPED_FOLDERS = ("poolwright", "tests", "tools")
"""Of those, what is typed strictly. The others are stories told with the official clients, whose models make every
property optional."""


def code_folders() -> list[Path]:
    """The code folders that exist and hold at least one Python file."""
    return [path for name in CODE_FOLDERS if any((path := ROOT / name).rglob("*.py"))]


def python_files() -> list[Path]:
    """Every Python file of the checkout, in a stable order."""
    return sorted(file for folder in code_folders() for file in folder.rglob("*.py"))


def written_by_hand() -> list[Path]:
    """The Python files less those in folders called `generated`, whose size is their source's."""
    return [file for file in python_files() if "generated" not in file.parts]


def shown(path: Path) -> str:
    """`path` as it is written in messages: relative to the checkout."""
    return path.relative_to(ROOT).as_posix()
