"""The journal over the wire: pages, kinds, server-sent events that go on where they were."""

from __future__ import annotations

import json
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest

from poolwright.api.auth import BATCH_RESOURCE
from poolwright.domain.facts import Fact
from tests.support.waiting import wait_until
from tests.unit.identity.parts import ACCOUNT
from tests.wire.batch.bad_bodies import POOL
from tests.wire.batch.conftest import NEW_VERSION, OTHER, Live

JSON = {"Content-Type": "application/json; odata=minimalmetadata"}


def _record(live: Live, *kinds: str, account: str = ACCOUNT) -> int:
    """Facts of these kinds; returns the newest number."""
    facts = [
        Fact(live.parts.clock.now(), kind, account, "task/j/t", {"node": "n", "pool": "p"}) for kind in kinds
    ]
    live.write(lambda tx: tx.journal.record(facts))
    return live.read(lambda tx: tx.journal.span())[1]


@pytest.fixture(scope="module")
def http(live: Live) -> Iterator[httpx.Client]:
    token = live.parts.issuer.issue(live.parts.principal, BATCH_RESOURCE).value
    with httpx.Client(
        base_url=live.url,
        verify=ssl.create_default_context(cafile=live.tls.ca_file),
        headers={"Authorization": f"Bearer {token}"},
        params={"api-version": NEW_VERSION},
        timeout=30,
    ) as client:
        yield client


@contextmanager
def _following(http: httpx.Client, seen: int | None = None, **query: str) -> Iterator[Iterator[Any]]:
    headers = {"Accept": "text/event-stream"} | ({} if seen is None else {"Last-Event-ID": str(seen)})
    with http.stream("GET", "/events", params=query, headers=headers) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "text/event-stream"
        yield (json.loads(line[6:]) for line in answer.iter_lines() if line.startswith("data: "))


def test_pages_go_through_the_journal_of_the_account(live: Live, http: httpx.Client) -> None:
    begin = _record(live, "job.create")
    _record(live, "task.start", "task.complete", account=OTHER)
    last = _record(live, "task.start", "task.complete", "task.fail", "job.disabled")
    page = http.get("/events", params={"after": begin, "maxresults": 3}).json()
    names = [event["eventName"] for event in page["value"]]
    assert names == ["TaskStartEvent", "TaskCompleteEvent", "TaskFailEvent"]
    assert {event["account"] for event in page["value"]} == {ACCOUNT}
    assert page["value"][0]["properties"]["nodeInfo"] == {"poolId": "p", "nodeId": "n"}
    link = urlsplit(page["odata.nextLink"])
    rest = http.get(link.path, params=dict(parse_qsl(link.query))).json()
    assert [event["eventName"] for event in rest["value"]] == ["JobDisableCompleteEvent"]
    assert (rest["after"], "odata.nextLink" in rest) == (last, False)


@pytest.mark.parametrize(
    ("kind", "found"),
    [
        ("task.*", ["task.start", "task.fail"]),
        ("TaskFailEvent,job.create", ["task.fail", "job.create"]),
        ("pool.*", []),
    ],
)
def test_kinds_are_chosen(live: Live, http: httpx.Client, kind: str, found: list[str]) -> None:
    begin = live.read(lambda tx: tx.journal.span())[1]
    last = _record(live, "task.start", "task.fail", "job.create")
    page = http.get("/events", params={"after": begin, "kind": kind}).json()
    assert ([event["kind"] for event in page["value"]], page["after"]) == (found, last)


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ({"after": "x"}, "after"),
        ({"after": "999999999"}, "newest event"),
        ({"kind": "Task'"}, "neither a kind"),
        ({"maxresults": "1001"}, "At most 1000"),
    ],
)
def test_bad_queries_are_named(http: httpx.Client, query: dict[str, str], said: str) -> None:
    answer = http.get("/events", params=query)
    assert answer.status_code == 400
    assert said in answer.text


def test_a_follower_gets_what_comes_and_goes_on_where_it_was(live: Live, http: httpx.Client) -> None:
    begin = _record(live, "job.create")
    with _following(http, after="end", kind="task.*") as events:
        _record(live, "job.disabled", "task.start")
        first = next(events)
        assert (first["kind"], first["number"]) == ("task.start", begin + 2)
    _record(live, "task.fail")  # while nobody listens
    with _following(http, seen=first["number"], after="0") as events:
        assert [next(events)["kind"]] == ["task.fail"]
        _record(live, "task.complete")
        assert next(events)["kind"] == "task.complete"


def test_a_follower_is_told_what_is_forgotten(live: Live, http: httpx.Client) -> None:
    first = _record(live, "job.create")
    last = _record(live, "task.fail", "task.fail", "task.start")
    live.write(lambda tx: tx.journal.prune(2))
    with _following(http, seen=first) as events:
        assert next(events) == {"after": first, "first": last - 1}
        assert next(events)["number"] == last - 1


def test_only_so_many_may_follow(live: Live, http: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("poolwright.api.batch.feed.FOLLOWERS_MAX", 1)
    with _following(http, after="end") as events:
        _record(live, "job.create")
        assert next(events)["kind"] == "job.create"
        refused = http.get("/events", params={"after": "end"}, headers={"Accept": "text/event-stream"})
        assert refused.status_code == 503
        assert "follow" in refused.text
        assert http.get("/events", params={"after": "end"}).status_code == 200


def test_a_follower_that_takes_nothing_is_dropped(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("poolwright.api.batch.live.STALL_S", 0.2)
    begin = live.read(lambda tx: tx.journal.span())[1]
    for _ in range(10):
        _record(live, *["task.complete"] * 2000)
    token = live.parts.issuer.issue(live.parts.principal, BATCH_RESOURCE).value
    feed = live.feed
    dropped = feed.dropped
    context = ssl.create_default_context(cafile=live.tls.ca_file)
    plain = socket.socket()
    plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16384)
    plain.connect(("127.0.0.1", live.port))
    with context.wrap_socket(plain, server_hostname="localhost") as stalled:
        stalled.sendall(
            f"GET /events?api-version={NEW_VERSION}&after={begin} HTTP/1.1\r\nHost: localhost\r\n"
            f"Accept: text/event-stream\r\nAuthorization: Bearer {token}\r\n\r\n".encode()
        )
        wait_until(lambda: feed.dropped == dropped + 1, 30, "a follower that reads nothing is still served")
        assert feed.followers == 0


def test_events_of_pools_have_the_public_fields(live: Live, http: httpx.Client) -> None:
    begin = live.read(lambda tx: tx.journal.span())[1]
    body = {
        **POOL,
        "id": "told",
        "resizeTimeout": "PT7M",
        "targetDedicatedNodes": 2,
        "displayName": "The pool",
    }
    assert http.post("/pools", content=json.dumps(body), headers=JSON).status_code == 201
    assert http.delete("/pools/told").status_code == 202
    events = http.get("/events", params={"after": begin, "kind": "pool.*"}).json()["value"]
    names = [event["eventName"] for event in events]
    assert names == ["PoolCreateEvent", "PoolResizeStartEvent", "PoolDeleteStartEvent"]
    created, resize, deleted = (event["properties"] for event in events)
    image = created.pop("virtualMachineConfiguration")
    assert (image["nodeAgentId"], image["imageReference"]["publisher"]) == ("batch.node.debian 12", "debian")
    assert created == {
        "id": "told",
        "displayName": "The pool",
        "vmSize": "standard_d2s_v3",
        "imageType": "VirtualMachineConfiguration",
        "networkConfiguration": {"subnetId": ""},
        "resizeTimeout": "420000",
        "targetDedicatedNodes": 2,
        "targetLowPriorityNodes": 0,
        "taskSlotsPerNode": 1,
        "vmFillType": "Spread",
        "enableAutoScale": False,
        "enableInterNodeCommunication": False,
        "isAutoPool": False,
    }
    assert resize == {
        "id": "told",
        "nodeDeallocationOption": "invalid",
        "currentDedicatedNodes": 0,
        "targetDedicatedNodes": 2,
        "currentLowPriorityNodes": 0,
        "targetLowPriorityNodes": 0,
        "enableAutoScale": False,
        "isAutoPool": False,
    }
    assert deleted == {"id": "told"}


def test_events_of_jobs_have_the_names_of_the_public_metrics(live: Live, http: httpx.Client) -> None:
    begin = live.read(lambda tx: tx.journal.span())[1]
    body = {"id": "told", "poolInfo": {"poolId": "p"}}
    assert http.post("/jobs", content=json.dumps(body), headers=JSON).status_code == 201
    off = json.dumps({"disableTasks": "wait"})
    assert http.post("/jobs/told/disable", content=off, headers=JSON).status_code == 202
    assert http.post("/jobs/told/terminate").status_code == 202
    assert http.delete("/jobs/told").status_code == 202
    events = http.get("/events", params={"after": begin, "kind": "job.*"}).json()["value"]
    assert [(event["eventName"], event["properties"]) for event in events] == [
        (name, {"id": "told"})
        for name in ("JobStartEvent", "JobDisableStartEvent", "JobTerminateStartEvent", "JobDeleteStartEvent")
    ]
