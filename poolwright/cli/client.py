"""A small client of the public API for the command line: a token by client credentials, JSON in and out."""

from __future__ import annotations

import time
from collections.abc import Iterator
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import httpx

from poolwright.cli.places import Credentials

API_VERSION = "2025-06-01"
_RECONNECTS_MAX = 30
_RECONNECT_S = 1.0
BATCH_SCOPE = "https://batch.core.windows.net//.default"


class Refused(Exception):
    """The service answered with an error; the message is the service's own, with its code and values."""


class Client:
    """Calls of one batch account."""

    scope = BATCH_SCOPE
    api_version = API_VERSION

    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials
        self._http = httpx.Client(verify=httpx.create_ssl_context(verify=credentials.ca_file), timeout=60.0)
        self._base = f"https://{credentials.account_endpoint}"
        self._token: str | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    def call(
        self, method: str, *parts: str, body: Any | None = None, query: dict[str, str] | None = None
    ) -> Any:
        """Call `/<part>/<part>...`; returns the decoded answer or None. Raises Refused or httpx.HTTPError."""
        answer = self.send(method, *parts, body=body, query=query)
        return answer.json() if answer.content else None

    def send(
        self, method: str, *parts: str, body: Any | None = None, query: dict[str, str] | None = None
    ) -> httpx.Response:
        """As `call`, but the answer as it came."""
        path = "/" + "/".join(quote(part, safe="") for part in parts)
        answer = self._http.request(
            method,
            self._base + path,
            params={"api-version": self.api_version, **(query or {})},
            headers={"Authorization": f"Bearer {self._bearer()}"},
            json=body,
        )
        if answer.is_error:
            raise Refused(told(answer))
        return answer

    def watch(self, *parts: str, query: dict[str, str]) -> Iterator[tuple[str, str]]:
        """Server-sent events of a path without end, as (name, data); a broken connection is made again and goes on
        where it was. Raises Refused, or httpx.HTTPError when the service stays away."""
        after, failures = "", 0
        while True:
            try:
                for field, value in self._lines(parts, query, after):
                    failures = 0
                    if field == "id":
                        after = value
                    else:
                        yield field, value
            except httpx.TransportError:
                failures += 1
                if failures > _RECONNECTS_MAX:
                    raise
            self._token = None
            time.sleep(_RECONNECT_S)

    def _lines(self, parts: tuple[str, ...], query: dict[str, str], after: str) -> Iterator[tuple[str, str]]:
        path = "/" + "/".join(quote(part, safe="") for part in parts)
        headers = {"Authorization": f"Bearer {self._bearer()}", "Accept": "text/event-stream"}
        if after:
            headers["Last-Event-ID"] = after
        params = {"api-version": self.api_version, **query}
        with self._http.stream("GET", self._base + path, params=params, headers=headers) as answer:
            if answer.is_error:
                answer.read()
                raise Refused(told(answer))
            name = ""
            for line in answer.iter_lines():
                field, _, value = line.partition(":")
                value = value.removeprefix(" ")
                if field == "event":
                    name = value
                elif field == "data":
                    yield name, value
                elif field == "id":
                    yield field, value

    def _bearer(self) -> str:
        if self._token is None:
            known = self._credentials
            answer = self._http.post(
                f"{known.endpoint}/{known.tenant_id}/oauth2/v2.0/token",
                data={
                    "grant_type": "client_credentials",
                    "client_id": known.client_id,
                    "client_secret": known.client_secret,
                    "scope": self.scope,
                },
            )
            if answer.is_error:
                raise Refused(f"no token: {told(answer)}")
            self._token = str(answer.json()["access_token"])
        return self._token


def told(answer: httpx.Response) -> str:
    """An error answer in words."""
    try:
        body = answer.json()
    except ValueError:
        return f"HTTP {answer.status_code}"
    if isinstance(body, dict) and isinstance(body.get("message"), dict):
        text = f"{body.get('code')}: {str(body['message'].get('value', '')).splitlines()[0]}"
        return text + "".join(f"\n  {pair['key']}: {pair['value']}" for pair in body.get("values", []))
    if isinstance(body, dict) and isinstance(body.get("error"), dict):
        return f"{body['error'].get('code')}: {body['error'].get('message')}"
    if isinstance(body, dict) and "error_description" in body:
        return str(body["error_description"])
    return f"HTTP {answer.status_code}: {answer.text[:200]}"
