"""What is kept of secrets of accounts: a hash of a password, the public half of a key pair."""

from __future__ import annotations

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from passlib.hash import sha512_crypt

_ROUNDS = 100_000
"""Of the hash: some hundredths of a second for a login, years for a guesser."""


class AccountSecrets:
    """See wire/convert/user_account.py, Secrets."""

    def hash_password(self, password: str) -> str:
        made = sha512_crypt.using(rounds=_ROUNDS)  # type: ignore[no-untyped-call]
        return str(made.hash(password))

    def public_line(self, private_key: str) -> str | None:
        raw = private_key.encode()
        openssh = b"OPENSSH PRIVATE KEY" in raw
        load = serialization.load_ssh_private_key if openssh else serialization.load_pem_private_key
        form = serialization.PublicFormat.OpenSSH
        try:
            return load(raw, None).public_key().public_bytes(serialization.Encoding.OpenSSH, form).decode()
        except (ValueError, TypeError, AttributeError, UnsupportedAlgorithm):
            return None


SECRETS = AccountSecrets()
