"""Named user accounts of pools: bodies to domain values, and back without their secrets."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

from poolwright.domain.errors import ServiceError, bad_property
from poolwright.domain.limits import ACCOUNT_KEYS_MAX, ACCOUNT_NAME_MAX, USER_ACCOUNTS_MAX
from poolwright.domain.pool import UserAccount
from poolwright.wire.bodies import HIDDEN
from poolwright.wire.convert.shared import Document, refuse
from poolwright.wire.generated import batch_models as models
from poolwright.wire.passwords import read_password

_NAME = re.compile(r"[^\W\d][\w.-]*\Z")
_RESERVED = re.compile(r"root\Z|_azbatch", re.IGNORECASE)
_KEY_LENGTH_MAX = 16_384
_ID_MAX = 65_533  # a node's users map into a range of 65,536 ids, of which the last two mean nobody
#: Ids of automatic users and of people who log in, by what they belong to.
_TAKEN = ((0, 0, "root"), (1500, 1500, "the pool's auto-user"), (2000, 2255, "task auto-users"))
_LOGINS = (10_000, 19_999, "people who log in to the node")


class Secrets(Protocol):
    """What is kept of secrets, made by those who know the ciphers."""

    def hash_password(self, password: str) -> str:
        """The salted hash that account files hold. Takes some hundredths of a second."""
        ...

    def public_line(self, private_key: str) -> str | None:
        """The public key of a private one as a line of authorized_keys; None if it is none, or has a passphrase."""
        ...


def read_accounts(
    bodies: Sequence[models.UserAccount] | None, secrets: Secrets, within: str = "userAccounts"
) -> tuple[UserAccount, ...]:
    """The accounts with their passwords hashed: some hundredths of a second each. Raises ServiceError."""
    bodies = bodies or ()
    if len(bodies) > USER_ACCOUNTS_MAX:
        raise bad_property(within, f"{len(bodies)} accounts", f"A pool has at most {USER_ACCOUNTS_MAX}.")
    checked = []
    seen: set[str] = set()
    for index, body in enumerate(bodies):
        where = f"{within}[{index}]."
        account = _read(body, where, secrets)
        if body.name.lower() in seen:
            raise bad_property(f"{where}name", body.name, "Another account of the pool has this name.")
        seen.add(body.name.lower())
        checked.append(account)
    keys = sum(len(account.private_key or "") for account in checked)
    if keys > ACCOUNT_KEYS_MAX:
        reason = f"All private keys together have at most {ACCOUNT_KEYS_MAX} characters."
        raise bad_property(within, f"{keys} characters of keys", reason)
    return tuple(
        replace(account, password_hash=secrets.hash_password(body.password))
        for account, body in zip(checked, bodies, strict=True)
    )


def _read(body: models.UserAccount, where: str, secrets: Secrets) -> UserAccount:
    """Everything but the password's hash, which is made only when the whole body is in order."""
    if len(body.name) > ACCOUNT_NAME_MAX or not _NAME.match(body.name):
        reason = f"1 to {ACCOUNT_NAME_MAX} letters, digits, '_', '.' and '-', a letter or '_' first."
        raise bad_property(f"{where}name", body.name, reason)
    if _RESERVED.match(body.name):
        raise bad_property(f"{where}name", body.name, "The name belongs to an account of every node.")
    if read_password(body.password, f"{where}password") is None:
        values = (("PropertyName", f"{where}password"), ("Reason", "An account needs a password."))
        raise ServiceError("MissingRequiredProperty", None, values)
    if body.windows_user_configuration is not None:
        reason = "The pool's nodes run Linux; this is for Windows."
        raise refuse(f"{where}windowsUserConfiguration", HIDDEN, reason)
    account = UserAccount(body.name, body.elevation_level == "admin")
    linux = body.linux_user_configuration
    if linux is None:
        return account
    inner = f"{where}linuxUserConfiguration."
    if (linux.uid is None) != (linux.gid is None):
        missing = "uid" if linux.uid is None else "gid"
        given = linux.gid if linux.uid is None else linux.uid
        raise bad_property(inner + missing, "", f"uid and gid come together: the other is {given}.")
    if linux.uid is not None and linux.gid is not None:
        account = replace(
            account, uid=_read_id(linux.uid, inner + "uid"), gid=_read_id(linux.gid, inner + "gid")
        )
    if linux.ssh_private_key:
        private, public = _read_key(linux.ssh_private_key, secrets, inner + "sshPrivateKey")
        account = replace(account, private_key=private, public_key=public)
    return account


def _read_id(number: int, name: str) -> int:
    if not 0 <= number <= _ID_MAX:
        raise bad_property(name, number, f"A number from 1 to {_ID_MAX}.")
    for first, last, owner in (*_TAKEN, _LOGINS):
        if first <= number <= last:
            raise bad_property(name, number, f"The ids {first} to {last} belong to {owner}.")
    return number


def _read_key(text: str, secrets: Secrets, name: str) -> tuple[str, str]:
    """The private key's text and the public key's line."""
    private = text.strip() + "\n"
    public = secrets.public_line(private) if len(private) <= _KEY_LENGTH_MAX else None
    if public is None:
        reason = "A private key as ssh-keygen or openssl write it, without a passphrase."
        raise bad_property(name, HIDDEN, reason)
    return private, public


def without_keys(accounts: tuple[UserAccount, ...]) -> tuple[UserAccount, ...]:
    """As kept where nodes do not talk to one another: the public service ignores the keys then, so they are let go."""
    return tuple(replace(account, private_key=None, public_key=None) for account in accounts)


def show_accounts(accounts: Sequence[UserAccount]) -> list[Document]:
    """Accounts as answered: no password, no private key."""
    return [_show(account) for account in accounts]


def _show(account: UserAccount) -> Document:
    shown: Document = {
        "name": account.name,
        "elevationLevel": "admin" if account.admin else "nonadmin",
    }
    if account.uid is not None:
        shown["linuxUserConfiguration"] = {"uid": account.uid, "gid": account.gid}
    return shown
