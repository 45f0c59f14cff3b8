"""Programs of the kit name the kit's own loader."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from poolwright.images.base import BuildFailed
from poolwright.images.kits import interpreter, with_interpreter


def test_a_program_runs_by_another_loader(tmp_path: Path) -> None:
    program = Path("/bin/true").read_bytes()
    loader = interpreter(program)
    link = Path("/tmp") / f"pw-{tmp_path.name[-8:]}.so"
    copy = tmp_path / "true"
    copy.write_bytes(with_interpreter(program, str(link)))
    copy.chmod(0o755)
    assert interpreter(copy.read_bytes()) == str(link)
    assert copy.stat().st_size == len(program)
    with pytest.raises(FileNotFoundError):
        subprocess.run([str(copy)], check=True)
    link.symlink_to(loader)
    try:
        assert subprocess.run([str(copy)], check=False).returncode == 0
    finally:
        link.unlink()


def test_what_cannot_be_changed_is_refused() -> None:
    program = Path("/bin/true").read_bytes()
    with pytest.raises(BuildFailed, match="longer than"):
        with_interpreter(program, "/" + "x" * 200)
    with pytest.raises(BuildFailed, match="ELF"):
        interpreter(b"#!/bin/sh\n" + bytes(100))
