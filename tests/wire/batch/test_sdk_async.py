"""The same server through the official asynchronous client, with a token from the embedded issuer."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from azure.batch import models
from azure.batch.aio import BatchClient
from azure.core.credentials import AccessToken
from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError
from azure.core.pipeline.transport import AioHttpTransport

from tests.unit.identity.parts import ACCOUNT
from tests.wire.batch.conftest import OLD_VERSION, Live
from tests.wire.batch.raw import Caller
from tests.wire.batch.test_sdk_sync import code_of, job_options, named, pool_options

pytestmark = pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow:DeprecationWarning")


class _Token:
    """A credential that has its token already."""

    def __init__(self, token: str) -> None:
        self._token = token

    async def get_token(self, *_: str, **__: object) -> AccessToken:
        return AccessToken(self._token, 2**31)

    async def close(self) -> None: ...

    async def __aenter__(self) -> _Token:
        return self

    async def __aexit__(self, *_: object) -> None: ...


@pytest.fixture(scope="module")
def token(live: Live) -> str:
    return str(Caller(live).token)


@pytest.fixture(params=[None, OLD_VERSION])
async def client(live: Live, token: str, request: pytest.FixtureRequest) -> AsyncIterator[BatchClient]:
    tls = ssl.create_default_context(cafile=str(live.tls.ca_file))
    session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=tls))
    options = {} if request.param is None else {"api_version": request.param}
    transport = AioHttpTransport(session=session, session_owner=False)
    async with (
        session,
        BatchClient(
            f"{live.url}/{ACCOUNT}", _Token(token), transport=transport, retry_total=0, **options
        ) as found,
    ):
        yield found
    # The transports below TLS end one turn of the loop after their session.
    await asyncio.sleep(0)


async def test_pools_and_nodes(live: Live, client: Any) -> None:
    id = named(client, "apool")
    await client.create_pool(pool_options(id))
    with pytest.raises(ResourceExistsError) as again:
        await client.create_pool(pool_options(id))
    assert code_of(again.value) == "PoolExists"
    pool = await client.get_pool(id)
    assert (pool.id, pool.url) == (id, f"{live.url}/{ACCOUNT}/pools/{id}")
    assert [item.id async for item in client.list_pools(filter=f"id eq '{id}'")] == [id]
    assert [node.id async for node in client.list_nodes(id)] == []
    assert await client.pool_exists(id)
    images = [image async for image in client.list_supported_images(max_results=2)]
    assert len(images) > 2


async def test_jobs_tasks_and_pages(live: Live, client: Any) -> None:
    id = named(client, "ajob")
    await client.create_job(job_options(id))
    wanted = [
        models.BatchTaskCreateOptions(id=f"t{number:03d}", command_line="/bin/true") for number in range(130)
    ]
    added = await client.create_tasks(id, task_collection=wanted)
    assert len(added.result_values) == 130
    found = [task.id async for task in client.list_tasks(id, max_results=50)]
    assert found == [task.id for task in wanted]
    counts = await client.get_job_task_counts(id)
    assert counts.task_counts.active == 130
    await client.terminate_task(id, "t001")
    await client.delete_task(id, "t000")
    with pytest.raises(ResourceNotFoundError) as gone:
        await client.get_task(id, "t000")
    assert code_of(gone.value) == "TaskNotFound"
    assert (await client.get_job(id)).id == id


async def test_files(live: Live, client: Any) -> None:
    id = named(client, "afile")
    await client.create_pool(pool_options(id))
    node = await asyncio.to_thread(live.add_node, id, 1)
    await client.create_job(job_options(id, id))
    await client.create_task(id, models.BatchTaskCreateOptions(id="t", command_line="x"))
    await asyncio.to_thread(live.place, id, "t", node)
    directory = live.files.root / node.machine / "workitems" / id / "job-1" / "t"
    directory.mkdir(parents=True)
    (directory / "stdout.txt").write_bytes(b"abc" * 50_000)
    pieces = [piece async for piece in await client.download_task_file(id, "t", "stdout.txt")]
    assert b"".join(pieces) == b"abc" * 50_000
    assert [file.name async for file in client.list_task_files(id, "t")] == ["stdout.txt"]
