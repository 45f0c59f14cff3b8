"""Run as a program, as a user would: asks azure-identity for tokens and prints them as JSON.

Arguments: sync|async, authority, tenant, client id, then scopes. The secret comes from the environment.
A tenant that is a GUID turns instance discovery off; `adfs` needs no such switch, which is the point of it.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from typing import Any


def main(style: str, authority: str, tenant: str, client_id: str, *scopes: str) -> None:
    options: dict[str, Any] = {"authority": authority}
    if tenant != "adfs":
        options["disable_instance_discovery"] = True
    arguments = (tenant, client_id, os.environ["TEST_CLIENT_SECRET"])
    tokens = (
        asyncio.run(_asynchronous(arguments, options, scopes))
        if style == "async"
        else _synchronous(arguments, options, scopes)
    )
    sys.stdout.write(json.dumps(tokens))


def _synchronous(
    arguments: tuple[str, str, str], options: dict[str, Any], scopes: tuple[str, ...]
) -> list[Any]:
    from azure.identity import ClientSecretCredential

    with ClientSecretCredential(*arguments, **options) as credential:
        return [list(credential.get_token(scope)) for scope in scopes]


async def _asynchronous(
    arguments: tuple[str, str, str], options: dict[str, Any], scopes: tuple[str, ...]
) -> list[Any]:
    from azure.identity.aio import ClientSecretCredential

    async with ClientSecretCredential(*arguments, **options) as credential:
        return [list(await credential.get_token(scope)) for scope in scopes]


if __name__ == "__main__":
    main(*sys.argv[1:])
