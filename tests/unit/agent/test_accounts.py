"""Named accounts are written into a machine's own files, and what was there before stays."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

import pytest

from poolwright.agent import accounts
from poolwright.agent.accounts import AccountRefused, ensure
from poolwright.agent.users import UnknownUser, Users

PASSWD = "root:x:0:0:root:/root:/bin/bash\nowner:x:1000:1000:,,,:/home/owner:/bin/zsh\n"


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine's tree, written to as an ordinary user would: nothing changes owner here."""
    monkeypatch.setattr(os, "geteuid", lambda: 1)
    monkeypatch.setattr(os, "chown", lambda *_: None)
    etc = tmp_path / "etc"
    etc.mkdir()
    (etc / "passwd").write_text(PASSWD)
    (etc / "group").write_text("root:x:0:\nsudo:x:27:owner\nowner:x:1000:\n")
    (etc / "shadow").write_text("root:*:19000:0:99999:7:::\nowner:!:19000:0:99999:7:::\n")
    (etc / "shadow").chmod(0o640)
    (tmp_path / "usr/bin").mkdir(parents=True)
    (tmp_path / "usr/bin/sudo").touch()
    return tmp_path


def account(name: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "password_hash": "$6$salt$hash", **more}


def rows(root: Path, file: str) -> dict[str, list[str]]:
    lines = (root / "etc" / file).read_text().splitlines()
    return {line.split(":")[0]: line.split(":")[1:] for line in lines}


def test_accounts_come_and_go_with_the_pool(root: Path) -> None:
    key = {"private_key": "KEY\n", "public_key": "ssh-ed25519 AAAA"}
    wanted = [account("one", admin=True), account("two", uid=5000, gid=5001, **key)]
    assert ensure(wanted, str(root)) == []
    assert rows(root, "passwd")["one"][1:3] == ["3000", "3000"]
    assert rows(root, "passwd")["two"][1:3] == ["5000", "5001"]
    assert rows(root, "shadow")["two"][0] == "$6$salt$hash"
    assert rows(root, "group")["sudo"][-1] == "owner,one"
    assert rows(root, "group")["two"][1] == "5001"
    sudoers = root / "etc/sudoers.d/poolwright-accounts"
    assert sudoers.read_text() == "#3000 ALL=(ALL:ALL) NOPASSWD:ALL\n"
    assert stat.S_IMODE((root / "etc/shadow").stat().st_mode) == 0o640
    keys = root / "home/two/.ssh"
    assert (keys / "id_ed25519").read_text() == "KEY\n"
    assert stat.S_IMODE((keys / "id_ed25519").stat().st_mode) == 0o600
    assert (keys / "authorized_keys").read_text() == "ssh-ed25519 AAAA\n"

    before = (root / "etc/passwd").read_text()
    ensure(wanted, str(root))
    assert (root / "etc/passwd").read_text() == before, "a reboot changes nothing"
    ensure([account("two", uid=5000, gid=5001)], str(root))
    assert "one" not in rows(root, "passwd")
    assert rows(root, "group")["sudo"][-1] == "owner"
    assert not sudoers.exists()
    assert (root / "home/one").is_dir(), "what an account made stays"
    ensure([], str(root))
    assert (root / "etc/passwd").read_text() == PASSWD


def test_an_account_of_the_image_is_used_as_it_is(root: Path) -> None:
    ensure([account("owner")], str(root))
    assert rows(root, "passwd")["owner"][1:] == ["1000", "1000", ",,,", "/home/owner", "/bin/zsh"]
    assert rows(root, "shadow")["owner"][0] == "$6$salt$hash"
    with pytest.raises(AccountRefused, match="uid 1000"):
        ensure([account("owner", uid=5000, gid=5000)], str(root))
    ensure([], str(root))
    assert "owner" in rows(root, "passwd")


def test_an_image_without_sudo_is_told_of(root: Path) -> None:
    (root / "usr/bin/sudo").unlink()
    (note,) = ensure([account("chief", admin=True)], str(root))
    assert "sudo" in note
    assert "chief" in note


def test_only_accounts_of_the_pool_are_run_as() -> None:
    users = Users(["one"])
    with pytest.raises(UnknownUser, match=r"'root'.*userAccounts: one"):
        users.take({"name": "root"})
    with pytest.raises(UnknownUser, match="none"):
        Users().take({"name": "one"})
    assert accounts.FIRST_ID == 3000
