"""The credentials file and the ready file."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from poolwright.serve.credentials import read_secret, write_whole
from poolwright.serve.running import _forget_dead, _told_by
from tests.unit.serve.test_environment import KNOWN


def test_a_file_only_its_owner_reads_replaces_one_that_all_did(tmp_path: Path) -> None:
    path = tmp_path / "new" / "ready.json"
    path.parent.mkdir()
    path.write_text("old")
    path.chmod(0o644)
    write_whole(path, KNOWN)
    assert json.loads(path.read_text()) == asdict(KNOWN)
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(path.parent.iterdir()) == [path]


def test_nothing_half_written_is_left(tmp_path: Path) -> None:
    (tmp_path / "ready.json").mkdir()
    with pytest.raises(IsADirectoryError):
        write_whole(tmp_path / "ready.json", KNOWN)
    assert [path.name for path in tmp_path.iterdir()] == ["ready.json"]


def test_the_secret_shown_once_is_kept(tmp_path: Path) -> None:
    assert read_secret(tmp_path, "client") is None
    write_whole(tmp_path / "credentials.json", KNOWN)
    assert read_secret(tmp_path, "client") == KNOWN.client_secret
    assert read_secret(tmp_path, "another") is None
    for broken in ("", "{", "[]", '{"client_id": "client", "client_secret": 7}'):
        (tmp_path / "credentials.json").write_text(broken)
        assert read_secret(tmp_path, "client") is None


def test_secrets_are_not_in_what_is_printed_of_them() -> None:
    assert KNOWN.client_secret not in repr(KNOWN)
    assert KNOWN.account_key not in repr(KNOWN)


def test_a_dead_services_ready_file_goes_a_living_ones_and_a_strangers_stay(tmp_path: Path) -> None:
    path = tmp_path / "ready.json"
    beyond = int(Path("/proc/sys/kernel/pid_max").read_text()) + 1
    write_whole(path, replace(KNOWN, pid=beyond))
    _forget_dead(path)
    assert not path.exists()
    write_whole(path, replace(KNOWN, pid=os.getpid()))
    _forget_dead(path)
    assert _told_by(path) == os.getpid()
    for stranger in ("", "[]", '{"pid": "1"}', "not ours"):
        path.write_text(stranger)
        assert _told_by(path) is None
        _forget_dead(path)
        assert path.exists()
    path.unlink()
    _forget_dead(path)
    _forget_dead(None)
