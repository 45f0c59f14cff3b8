"""Calls of the management plane for the command line, long-running operations followed to their end."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote

import httpx

from poolwright.cli.client import Client, Refused, told
from poolwright.cli.places import Credentials

_POLL_S = 0.3
FOLLOW_S = 7200.0
"""Longest wait for one operation: converting a disk of terabytes takes long."""


class Management(Client):
    """Calls below the subscription. `call` and `follow` take the path's parts after it."""

    api_version = "2024-07-01"

    def __init__(self, credentials: Credentials) -> None:
        super().__init__(credentials)
        self.scope = f"{credentials.endpoint}/.default"
        self._base = f"{credentials.endpoint}/subscriptions/{quote(credentials.subscription_id, safe='')}"

    def follow(self, method: str, *parts: str, body: Any | None = None) -> Any:
        """Call, and wait until the operation this began has ended. Raises Refused with the operation's own error."""
        answer = self.send(method, *parts, body=body)
        place = answer.headers.get("Azure-AsyncOperation")
        deadline = time.monotonic() + FOLLOW_S
        while place is not None:
            status = self._checked(self._http.get(place, headers=self._authorization())).json()
            if status["status"] == "Succeeded":
                break
            if status["status"] != "InProgress":
                error = status.get("error") or {}
                raise Refused(f"{error.get('code')}: {error.get('message')}")
            if time.monotonic() > deadline:
                raise Refused(f"no end after {FOLLOW_S:.0f} s; it goes on at the service")
            time.sleep(_POLL_S)
        return answer.json() if answer.content else None

    def upload(self, url: str, pages: Iterable[tuple[int, bytes]]) -> None:
        """Write pages, (offset, bytes) pairs, to a page blob by its signed address."""
        for offset, data in pages:
            headers = {"x-ms-page-write": "update", "x-ms-range": f"bytes={offset}-{offset + len(data) - 1}"}
            self._checked(self._http.put(f"{url}&comp=page", headers=headers, content=data))

    def _authorization(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._bearer()}"}

    @staticmethod
    def _checked(answer: httpx.Response) -> httpx.Response:
        if answer.is_error:
            raise Refused(told(answer))
        return answer
