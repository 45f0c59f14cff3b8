"""The one way authentication and authorisation say no."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType


class AuthError(Exception):
    """A refused request, ready to be rendered by whichever plane received it.

    `status` is the HTTP status, `code` the wire error code, `message` one sentence for people,
    `values` the key/value details of a Batch error body, `headers` what must be sent with the
    answer (the challenge of a 401). None of them ever holds a token, key or secret.
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        values: Sequence[tuple[str, str]] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(f"{status} {code}: {message}")
        self.status = status
        self.code = code
        self.message = message
        self.values = tuple(values)
        self.headers: Mapping[str, str] = MappingProxyType(dict(headers or {}))


def detail(text: str) -> tuple[tuple[str, str], ...]:
    """The `values` entry under which Batch clients look for the reason of a refused signature."""
    return (("AuthenticationErrorDetail", text),)
