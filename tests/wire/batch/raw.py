"""Requests as bytes, with a bearer token, for what the official clients would never send."""

from __future__ import annotations

import json
import ssl
from dataclasses import dataclass
from http.client import HTTPResponse, HTTPSConnection
from typing import Any
from urllib.parse import urlencode

from tests.unit.identity.parts import CLIENT, TENANT
from tests.wire.batch.conftest import NEW_VERSION, Live


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer as it came."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def document(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.body)
        return found

    @property
    def code(self) -> str:
        return str(self.document["code"])

    @property
    def values(self) -> dict[str, str]:
        return {item["key"]: item["value"] for item in self.document.get("values", [])}


class Caller:
    """Sends any path and body, with a token of the test's service principal."""

    def __init__(self, live: Live) -> None:
        self._live = live
        self._tls = ssl.create_default_context(cafile=str(live.tls.ca_file))
        fields = {
            "grant_type": "client_credentials",
            "client_id": CLIENT,
            "client_secret": live.parts.secret,
            "scope": "https://batch.core.windows.net//.default",
        }
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        reply = self.send("POST", f"/{TENANT}/oauth2/v2.0/token", urlencode(fields).encode(), form)
        self.token = reply.document["access_token"]

    def send(self, method: str, target: str, body: bytes | None, headers: dict[str, str]) -> Reply:
        connection = HTTPSConnection("localhost", self._live.port, timeout=20, context=self._tls)
        try:
            connection.request(method, target, body, headers)
            response: HTTPResponse = connection.getresponse()
            found = {name.lower(): value for name, value in response.getheaders()}
            return Reply(response.status, found, response.read())
        finally:
            connection.close()

    def __call__(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        query: str = "",
        version: str | None = NEW_VERSION,
        **headers: str,
    ) -> Reply:
        """`body` is bytes as they are, or what becomes JSON. Underscores in names of headers stand for hyphens."""
        parts = [f"api-version={version}"] if version else []
        target = f"{path}?{'&'.join([*parts, *([query] if query else [])])}"
        content = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        sent = {
            "Authorization": f"Bearer {self.token}",
            "Content-Type": "application/json; odata=minimalmetadata",
        }
        sent.update({name.replace("_", "-"): value for name, value in headers.items()})
        return self.send(method, target, content, sent)
