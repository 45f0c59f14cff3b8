"""Events reach an endpoint in order, each at least once, over refusals, cut connections and kill -9; and metrics."""

from __future__ import annotations

import hashlib
import hmac
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from azure.batch import models as batch
from azure.core.exceptions import HttpResponseError
from azure.core.rest import HttpRequest
from prometheus_client.parser import text_string_to_metric_families

from tests.e2e.service.live import Live
from tests.support.waiting import wait_until

SECRET = "a secret of the test's own"


class Receiver(ThreadingHTTPServer):
    """Keeps what is posted to it. `moods` are what it does to the next requests instead of accepting them."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.batches: list[dict[str, Any]] = []
        self.moods: list[str] = []
        self.forged = 0

    @property
    def numbers(self) -> list[int]:
        return [event["number"] for body in self.batches for event in body["events"]]

    @property
    def subjects(self) -> list[str]:
        return [event["subject"] for body in self.batches for event in body["events"]]


class _Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        stamp, _, code = self.headers["poolwright-signature"].partition(",v1=")
        signed = f"{stamp[2:]}.".encode() + body
        if not hmac.compare_digest(code, hmac.new(SECRET.encode(), signed, hashlib.sha256).hexdigest()):
            self.server.forged += 1
        mood = self.server.moods.pop(0) if self.server.moods else "accept"
        if mood != "refuse":
            self.server.batches.append(json.loads(body))
        if mood == "cut":  # taken, but nobody learns of it
            self.close_connection = True
            return
        self.send_response(503 if mood == "refuse" else 204)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    thread = threading.Thread(target=made.serve_forever, daemon=True)
    thread.start()
    try:
        yield made
    finally:
        made.shutdown()
        made.server_close()
        thread.join(10)


def _metrics(live: Live, client: Any) -> dict[tuple[str, str], float]:
    """Samples by (name, the label that tells most)."""
    answer = client.send_request(HttpRequest("GET", f"{live.ready.endpoint}/metrics"))
    answer.raise_for_status()
    found = {}
    for family in text_string_to_metric_families(answer.text()):
        for sample in family.samples:
            label = (
                sample.labels.get("state")
                or sample.labels.get("operation")
                or sample.labels.get("event")
                or sample.labels.get("reason")
                or sample.labels.get("result", "")
            )
            found[sample.name, label] = sample.value
    return found


def test_events_arrive_in_order_whatever_dies_and_metrics_tell_of_it(
    live: Live, receiver: Receiver, tmp_path: Path
) -> None:
    file = tmp_path / "events.json"
    hook = {
        "name": "ci",
        "url": f"http://127.0.0.1:{receiver.server_port}/hook",
        "secret": SECRET,
        "kinds": ["JobStartEvent"],
    }
    file.write_text(json.dumps({"webhooks": [hook]}))
    file.chmod(0o600)
    live.start_again("--event-settings", str(file))
    live.pool(dedicated=0)

    def submit(*ids: str) -> None:
        for id in ids:
            live.batch.create_job(
                batch.BatchJobCreateOptions(id=id, pool_info=batch.BatchPoolInfo(pool_id="pool"))
            )

    def state() -> str:
        return f"{receiver.subjects}\n{live.service.log_tail()}"

    receiver.moods += ["refuse", "cut"]
    submit("a", "b")
    wait_until(lambda: {"job/a", "job/b"} <= set(receiver.subjects), 60, state)
    list(live.clients.compute.snapshots.list())
    live.task("t", "true", "a")
    live.task("u", "true", "b")
    live.batch.begin_disable_job("b", batch.BatchJobDisableOptions(disable_tasks="wait"))
    figures = _metrics(live, live.batch)
    assert figures["poolwright_webhook_deliveries_total", "failure"] >= 1
    assert figures["poolwright_api_requests_total", "create_job"] == 2
    assert figures["poolwright_api_requests_total", "GET Microsoft.Compute/snapshots"] == 1
    assert figures["poolwright_waiting_tasks", "room"] == figures["poolwright_waiting_tasks", "job"] == 1
    assert figures["poolwright_waiting_tasks", "tasks"] == 0
    assert figures["poolwright_events_total", "JobStartEvent"] == 2
    assert figures["poolwright_events_total", "PoolCreateEvent"] == 1
    assert figures["poolwright_store_commit_duration_seconds_count", ""] > 0
    assert ("poolwright_webhook_lag_events", "") in figures
    with pytest.raises(
        HttpResponseError, match="AuthorizationFailed"
    ):  # a key is of one account, figures are of all
        live.by_key().send_request(HttpRequest("GET", f"{live.ready.endpoint}/metrics"))

    receiver.moods += ["refuse"] * 1000
    submit("c", "d")
    live.kill_service()
    receiver.moods.clear()
    live.start("--event-settings", str(file))
    submit("e")
    wait_until(lambda: "job/e" in receiver.subjects, 60, state)
    firsts = list(dict.fromkeys(receiver.subjects))
    assert firsts == [f"job/{id}" for id in "abcde"], "all of them, first seen in order"
    assert receiver.forged == 0
