"""Accounts and service principals in memory, as every request needs them; read again when they may have changed."""

from __future__ import annotations

from dataclasses import dataclass, field

from poolwright.api.auth import AccountKeys, ServicePrincipal
from poolwright.store.base import Store, Tx


@dataclass(frozen=True, slots=True)
class _Snapshot:
    keys: dict[str, AccountKeys] = field(default_factory=dict)
    default: str | None = None
    principals: dict[str, ServicePrincipal] = field(default_factory=dict)


class KnownCallers:
    """Answers who an account and a client are, without a look at the store.

    Whoever writes accounts or principals calls `refresh` before telling its caller of success.
    """

    def __init__(self, store: Store, default_account: str) -> None:
        self._store = store
        self._preferred = default_account.lower()
        self._now = _Snapshot()

    async def refresh(self) -> None:
        """Read accounts and principals again."""
        self._now = await self._store.read(self._read)

    def _read(self, tx: Tx) -> _Snapshot:
        accounts = tx.accounts.all()
        keys = {
            account.name.lower(): AccountKeys.from_base64(
                account.name, account.primary_key, account.secondary_key
            )
            for account in accounts
        }
        if self._preferred in keys:
            default: str | None = keys[self._preferred].account
        else:
            default = accounts[0].name if len(accounts) == 1 else None
        principals = {
            known.client_id.lower(): ServicePrincipal(
                client_id=known.client_id,
                object_id=known.object_id,
                name=known.name,
                secret_hashes=(known.secret_hash,),
                roles=known.roles,
            )
            for known in tx.accounts.principals()
        }
        return _Snapshot(keys, default, principals)

    def account_keys(self, account: str) -> AccountKeys | None:
        """The keys of an account (name compared without regard to case), or None."""
        return self._now.keys.get(account.lower())

    def find_account(self, name: str) -> str | None:
        """The stored spelling of an account's name, or None."""
        known = self._now.keys.get(name.lower())
        return None if known is None else known.account

    def default_account(self) -> str | None:
        """The account of requests that name none: the configured one, or the only one."""
        return self._now.default

    def find_principal(self, client_id: str) -> ServicePrincipal | None:
        """The principal with this client id (compared without regard to case), or None."""
        return self._now.principals.get(client_id.lower())


@dataclass(frozen=True, slots=True)
class Accounts:
    """The data plane's view of `KnownCallers`."""

    known: KnownCallers

    def find(self, name: str) -> str | None:
        """The stored spelling of an account's name, or None."""
        return self.known.find_account(name)

    def default(self) -> str | None:
        """The account of requests that name none."""
        return self.known.default_account()


@dataclass(frozen=True, slots=True)
class Principals:
    """The issuer's and the verifier's view of `KnownCallers`."""

    known: KnownCallers

    def find(self, client_id: str) -> ServicePrincipal | None:
        """The principal with this client id, or None."""
        return self.known.find_principal(client_id)
