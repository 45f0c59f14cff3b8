"""Batch accounts as the data plane needs them. Making and deleting them is in batch_accounts.py."""

from __future__ import annotations

from poolwright.domain.account import Account
from poolwright.domain.errors import ServiceError
from poolwright.store.base import Tx

#: The setting that names the account of callers who name none.
DEFAULT_ACCOUNT = "default_account"


def get(tx: Tx, name: str) -> Account:
    """The account. Raises ResourceNotFound (404)."""
    account = tx.accounts.get(name)
    if account is None:
        raise ServiceError("ResourceNotFound", f"There is no Batch account named '{name[:64]}'.")
    return account


def default(tx: Tx) -> Account | None:
    """The account of a caller who names none: the one set as default, else the only one; None if that is unclear."""
    chosen = tx.accounts.setting(DEFAULT_ACCOUNT)
    account = tx.accounts.get(chosen) if chosen else None
    if account is not None:
        return account
    every = tx.accounts.all()
    return every[0] if len(every) == 1 else None
