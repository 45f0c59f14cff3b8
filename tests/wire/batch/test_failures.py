"""What the caller is told when something behind the data plane fails, without a server in between."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

import pytest

from poolwright.api.auth import Principal
from poolwright.api.batch.addresses import Router
from poolwright.api.batch.app import BatchApp
from poolwright.api.batch.services import BatchServices, Explainer, Files
from poolwright.domain.limits import Settings
from poolwright.store.base import Busy, Store, Tx
from tests.unit.identity.parts import ACCOUNT, HandClock, asgi_scope
from tests.wire.batch.conftest import RandomIds, TwoAccounts

T = TypeVar("T")


@dataclass
class BrokenStore:
    """Fails every read with the exception it was given; waits for ever without one."""

    failure: Exception | None

    async def read(self, _: Callable[[Tx], T]) -> T:
        if self.failure is None:
            await asyncio.Event().wait()
        raise self.failure or AssertionError


@dataclass
class Told:
    """What an application sent."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""

    async def send(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = {name.decode(): value.decode() for name, value in message["headers"]}
        else:
            self.body += message["body"]

    @property
    def code(self) -> str:
        return str(json.loads(self.body)["code"])


async def ask(failure: Exception | None, target: str = "/jobs/j?api-version=2025-06-01") -> Told:
    services = BatchServices(
        store=cast(Store, BrokenStore(failure)),
        clock=HandClock(),
        ids=RandomIds(),
        settings=Settings(),
        accounts=TwoAccounts(),
        authenticate=lambda _, __: Principal("sharedkey", ACCOUNT, ACCOUNT, ACCOUNT),
        files=cast(Files, None),
        explain=cast(Explainer, None),
        endpoint="https://here:1",
    )
    told = Told()

    async def receive() -> Any:
        return {"type": "http.request", "body": b""}

    await BatchApp(services)(asgi_scope("GET", target, []), receive, told.send)
    return told


async def test_what_nobody_foresaw(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        told = await ask(RuntimeError("disk on fire at /secret/place"))
    assert (told.status, told.code) == (500, "InternalError")
    assert b"secret" not in told.body
    (entry,) = caplog.records
    assert told.headers["request-id"] in entry.getMessage()
    assert "disk on fire" in caplog.text


async def test_too_many_writes() -> None:
    told = await ask(Busy("full"))
    assert (told.status, told.code, told.headers["retry-after"]) == (503, "ServerBusy", "1")


async def test_an_operation_that_takes_too_long() -> None:
    told = await ask(None, "/jobs/j?api-version=2025-06-01&timeOut=1")
    assert (told.status, told.code) == (500, "OperationTimedOut")


async def test_without_a_host_header_the_configured_endpoint_stands_in() -> None:
    told = await ask(Busy("full"))
    assert json.loads(told.body)["odata.metadata"].startswith("https://here:1/$metadata#")


def test_paths_are_found_raw() -> None:
    router: Router[str] = Router()
    router.add("GET", "/jobs/{jobId}", "job")
    router.add("DELETE", "/jobs/{jobId}", "delete")
    router.add("GET", "/jobs/{jobId}/files/{path...}", "file")
    router.add("GET", "/jobs/{jobId}/files", "files")
    assert router.roots == {"jobs"}
    found = router.find(("JOBS", "Ab%2F"))
    assert found is not None
    assert (found[0]["DELETE"].what, found[0]["GET"].names, found[1]) == ("delete", ("jobId",), ["Ab%2F"])
    found = router.find(("jobs", "a", "files", "wd%2Fx", "", "y"))
    assert found is not None
    assert (found[0]["GET"].what, found[1]) == ("file", ["a", "wd%2Fx//y"])
    assert router.find(("jobs",)) is None
    assert router.find(("jobs", "", "files")) is None
    assert router.find(("pools",)) is None
    with pytest.raises(ValueError, match="twice"):
        router.add("GET", "/jobs/{id}", "again")
