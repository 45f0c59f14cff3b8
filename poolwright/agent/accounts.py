"""The named accounts of a pool, made in a machine by writing its account files: no program of the image is needed.

Runs as the machine's root before anything else does. Accounts of an earlier life that are wanted no more lose their
entries; their homes stay. What lies in a home is written with its owner's rights, so that no link leads elsewhere.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator, Sequence
from typing import Any

FIRST_ID = 3000  # above the automatic users, below the ids of people who log in
OURS = "Poolwright pool account"  # in the comment field: what we made, we may remove
_SUDOERS = "etc/sudoers.d/poolwright-accounts"
_DAY_S = 86_400
_ADMIN_GROUPS = ("sudo", "wheel")
_KEY_FILES = {"ssh-rsa": "id_rsa", "ssh-ed25519": "id_ed25519"}
#: Nodes of a pool come and go: a host key that is not known yet is noted, a changed one is refused.
_CLIENT = "Host *\n    StrictHostKeyChecking accept-new\n"


class AccountRefused(Exception):
    """The image forbids an account as it was asked for; the message says what to change."""


class _Table:
    """A file of lines with fields between colons."""

    def __init__(self, root: str, name: str, mode: int) -> None:
        self.path = os.path.join(root, "etc", name)
        self._mode = mode
        self.rows: list[list[str]] = []
        try:
            with open(self.path, encoding="utf-8", errors="surrogateescape") as stream:
                self.rows = [line.rstrip("\n").split(":") for line in stream]
        except FileNotFoundError:
            pass
        self._before = [list(row) for row in self.rows]

    def find(self, name: str) -> list[str] | None:
        return next((row for row in self.rows if row[0] == name), None)

    def by_number(self, number: int) -> list[str] | None:
        return next((row for row in self.rows if len(row) > 2 and row[2] == str(number)), None)

    def drop(self, names: set[str]) -> None:
        self.rows = [row for row in self.rows if row[0] not in names]

    def save(self) -> None:
        """Replace the file in one step; mode and owner stay."""
        if self.rows == self._before:
            return
        fresh = self.path + ".poolwright"
        with contextlib.suppress(FileNotFoundError):
            os.unlink(fresh)
        fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(fd, "w", encoding="utf-8", errors="surrogateescape") as stream:
            stream.writelines(":".join(row) + "\n" for row in self.rows)
            mode, owner = self._mode, (0, 0)
            with contextlib.suppress(FileNotFoundError):
                status = os.stat(self.path)
                mode, owner = status.st_mode & 0o7777, (status.st_uid, status.st_gid)
            if os.geteuid() == 0:
                os.fchown(fd, *owner)
            os.fchmod(fd, mode)
        os.rename(fresh, self.path)


class _Files:
    """The account files of one machine."""

    def __init__(self, root: str) -> None:
        self.root = root
        self.passwd = _Table(root, "passwd", 0o644)
        self.group = _Table(root, "group", 0o644)
        self.shadow = _Table(root, "shadow", 0o640)

    def forget(self, wanted: set[str]) -> None:
        """Entries we made for accounts nobody wants any more."""
        ours = {row[0] for row in self.passwd.rows if len(row) > 4 and row[4] == OURS}
        gone = ours - wanted
        for table in (self.passwd, self.shadow, self.group):
            table.drop(gone)
        for row in self.group.rows:
            if len(row) > 3 and gone & set(row[3].split(",")):
                row[3] = ",".join(name for name in row[3].split(",") if name not in gone)

    def free(self) -> int:
        number = FIRST_ID
        while self.passwd.by_number(number) or self.group.by_number(number):
            number += 1
        return number

    def save(self) -> None:
        for table in (self.group, self.shadow, self.passwd):
            table.save()


def ensure(wanted: Sequence[dict[str, Any]], root: str = "/") -> list[str]:
    """See that just these accounts exist: `name`, `admin`, `uid`, `gid`, `password_hash`, `private_key`, `public_key`.

    Returns what an operator should know. Raises AccountRefused; OSError when the files cannot be written.
    """
    files = _Files(root)
    if not wanted and not any(len(row) > 4 and row[4] == OURS for row in files.passwd.rows):
        return []
    files.forget({account["name"] for account in wanted})
    made = [(account, _entry(files, account)) for account in wanted]
    files.save()
    for account, row in made:
        _make_home(root, row)
        if account.get("private_key"):
            _write_keys(root, row, account)
    return _give_rights(files, [row for account, row in made if account.get("admin")])


def _entry(files: _Files, account: dict[str, Any]) -> list[str]:
    """The account's row of the passwd file, added if it is not there."""
    name, uid, gid = account["name"], account.get("uid"), account.get("gid")
    row = files.passwd.find(name)
    if row is not None:
        asked = (str(uid), str(gid))
        if uid is not None and (row[2], row[3]) != asked:
            text = f"userAccounts: the image has an account {name!r} with uid {row[2]} and gid {row[3]}, "
            raise AccountRefused(text + f"not {uid} and {gid}: leave uid and gid out, or name it otherwise")
        if row[2] == "0":
            raise AccountRefused(
                f"userAccounts: {name!r} is another name of root in the image: choose another"
            )
    else:
        if uid is None or gid is None:
            uid = gid = files.free()
        if files.group.by_number(gid) is None and files.group.find(name) is None:
            files.group.rows.append([name, "x", str(gid), ""])
        shell = "/bin/bash" if os.path.exists(os.path.join(files.root, "bin/bash")) else "/bin/sh"
        row = [name, "x", str(uid), str(gid), OURS, f"/home/{name}", shell]
        files.passwd.rows.append(row)
    _set_password(files.shadow, name, account.get("password_hash"))
    row[1] = "x"
    return row


def _set_password(shadow: _Table, name: str, password_hash: str | None) -> None:
    row = shadow.find(name)
    if row is None:
        row = [name, "", str(int(time.time()) // _DAY_S), "0", "99999", "7", "", "", ""]
        shadow.rows.append(row)
    row[1] = password_hash or "*"


def _make_home(root: str, row: list[str]) -> None:
    home = os.path.join(root, row[5].lstrip("/"))
    os.makedirs(os.path.dirname(home), mode=0o755, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        os.mkdir(home, 0o750)
        os.chown(home, int(row[2]), int(row[3]))


def _write_keys(root: str, row: list[str], account: dict[str, Any]) -> None:
    """The key pair, for going to other nodes and for coming from them."""
    public = str(account["public_key"])
    name = _KEY_FILES.get(public.partition(" ")[0], "id_ecdsa")
    with _rights_of(int(row[2]), int(row[3])):
        directory = os.path.join(root, row[5].lstrip("/"), ".ssh")
        with contextlib.suppress(FileExistsError):
            os.mkdir(directory, 0o700)
        _put(directory, name, str(account["private_key"]), 0o600)
        _put(directory, name + ".pub", public + "\n", 0o644)
        _put(directory, "authorized_keys", public + "\n", 0o600)
        with contextlib.suppress(FileExistsError):
            _put(directory, "config", _CLIENT, 0o600, replace=False)


def _put(directory: str, name: str, text: str, mode: int, *, replace: bool = True) -> None:
    path = os.path.join(directory, name)
    if replace:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
    with os.fdopen(fd, "w", encoding="utf-8") as stream:
        stream.write(text)


@contextlib.contextmanager
def _rights_of(uid: int, gid: int) -> Iterator[None]:
    """Work on files as this user does, where that may be chosen."""
    if os.geteuid() != 0:
        yield
        return
    os.setegid(gid)
    os.seteuid(uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)


def _give_rights(files: _Files, admins: Sequence[list[str]]) -> list[str]:
    """Administrators may do everything by sudo, without a password."""
    path = os.path.join(files.root, _SUDOERS)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
    if not admins:
        return []
    os.makedirs(os.path.dirname(path), mode=0o750, exist_ok=True)
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o440)
    with os.fdopen(fd, "w", encoding="ascii") as stream:
        stream.writelines(f"#{row[2]} ALL=(ALL:ALL) NOPASSWD:ALL\n" for row in admins)
    for row in files.group.rows:
        if row[0] in _ADMIN_GROUPS and len(row) > 3:
            members = [name for name in row[3].split(",") if name]
            row[3] = ",".join([*members, *(admin[0] for admin in admins if admin[0] not in members)])
    files.group.save()
    if any(
        os.path.exists(os.path.join(files.root, place, "sudo"))
        for place in ("usr/bin", "bin", "usr/local/bin")
    ):
        return []
    names = ", ".join(row[0] for row in admins)
    return [f"the image has no sudo, which the administrators {names} of userAccounts need to become root"]
