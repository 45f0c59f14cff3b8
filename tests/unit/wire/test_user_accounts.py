"""User accounts of pools: rules, what is kept of secrets, defaults by API version."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519

from poolwright.api.batch.secrets import AccountSecrets
from poolwright.domain.errors import ServiceError
from poolwright.domain.pool import UserIdentity
from poolwright.wire.convert import pool as pools
from poolwright.wire.versions import ApiVersion
from tests.unit.wire.test_convert import LINKS, body, pool_body, stored_pool

PASSWORD = "correct horse"


class FastSecrets(AccountSecrets):
    """The real key reader, with a hash that takes no time."""

    def hash_password(self, password: str) -> str:
        return f"$6$hash-of-{len(password)}"


SECRETS = FastSecrets()


def private_key(passphrase: bytes | None = None) -> str:
    how: Any = serialization.NoEncryption()
    form = serialization.PrivateFormat.OpenSSH
    if passphrase is not None:
        how, form = serialization.BestAvailableEncryption(passphrase), serialization.PrivateFormat.PKCS8
    key = ed25519.Ed25519PrivateKey.generate()
    return key.private_bytes(serialization.Encoding.PEM, form, how).decode()


def accounts(key: str) -> list[dict[str, Any]]:
    linux = {"uid": 4321, "gid": 4322, "sshPrivateKey": key}
    return [
        {"name": "Über.x-1", "password": PASSWORD, "elevationLevel": "Admin"},
        {"name": "plain", "password": PASSWORD, "linuxUserConfiguration": linux},
    ]


def test_secrets_are_kept_only_as_far_as_nodes_need_them() -> None:
    key = private_key()
    new = pools.read_pool(pool_body(userAccounts=accounts(key), enableInterNodeCommunication=True), SECRETS)
    admin, plain = new.spec.accounts
    assert (admin.name, admin.admin, plain.admin) == ("Über.x-1", True, False)
    assert (plain.uid, plain.gid) == (4321, 4322)
    assert plain.private_key == key
    assert plain.public_key is not None
    assert plain.public_key.startswith("ssh-ed25519 ")
    assert admin.password_hash == f"$6$hash-of-{len(PASSWORD)}"
    shown = pools.show_pool(stored_pool(new), (0, 0), LINKS)
    assert shown["userAccounts"] == [
        {"name": "Über.x-1", "elevationLevel": "admin"},
        {"name": "plain", "elevationLevel": "nonadmin", "linuxUserConfiguration": {"uid": 4321, "gid": 4322}},
    ]
    everything = repr(new) + new.document.decode() + json.dumps(shown)
    assert PASSWORD not in everything
    assert "PRIVATE" not in everything
    alone = pools.read_pool(pool_body(userAccounts=accounts(key)), SECRETS)
    assert all(account.private_key is None and account.public_key is None for account in alone.spec.accounts)


def test_a_change_of_something_else_keeps_the_accounts() -> None:
    new = pools.read_pool(
        pool_body(userAccounts=accounts(private_key()), enableInterNodeCommunication=True), SECRETS
    )
    pool = stored_pool(new)
    spec, document = pools.read_pool_patch(body(metadata=[{"name": "a", "value": "1"}]), SECRETS)(pool)
    assert spec.accounts == new.spec.accounts
    assert pools.show_pool(replace(pool, spec=spec, document=document), (0, 0), LINKS)["userAccounts"]
    spec, document = pools.read_pool_patch(body(userAccounts=[]), SECRETS)(pool)
    assert spec.accounts == ()
    assert pools.show_pool(replace(pool, spec=spec, document=document), (0, 0), LINKS)["userAccounts"] == []


def test_a_key_with_a_passphrase_is_refused_and_not_repeated() -> None:
    locked = private_key(b"secret")
    with pytest.raises(ServiceError) as refused:
        pools.read_pool(pool_body(userAccounts=accounts(locked)), SECRETS)
    assert refused.value.code == "InvalidPropertyValue"
    assert "PRIVATE" not in repr(refused.value.values)
    with pytest.raises(ServiceError) as refused:
        pools.read_pool(pool_body(userAccounts=[{"name": "u", "password": [PASSWORD]}]), SECRETS)
    assert dict(refused.value.values)["PropertyName"] == "userAccounts[0].password"
    assert PASSWORD not in repr(refused.value.values)


def test_a_start_task_waits_by_default_since_the_version_that_brought_it() -> None:
    start = {"commandLine": "x", "userIdentity": {"username": "plain"}}
    for version, waits in (("2019-06-01", False), ("2019-08-01", True), ("2025-06-01", True)):
        new = pools.read_pool(pool_body(startTask=start), SECRETS, ApiVersion(version))
        assert new.spec.start_task is not None
        assert (new.spec.start_task.wait_for_success, new.spec.start_task.user) == (
            waits,
            UserIdentity(username="plain"),
        )
        shown = pools.show_pool(stored_pool(new), (0, 0), LINKS)["startTask"]
        assert (shown["waitForSuccess"], shown["userIdentity"]) == (waits, {"username": "plain"})
        spec, _ = pools.read_pool_patch(body(metadata=[]), SECRETS)(stored_pool(new))
        assert spec.start_task == new.spec.start_task, "a change of something else keeps what was meant"
