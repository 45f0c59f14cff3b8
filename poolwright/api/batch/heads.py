"""What the head of every request must have: a verb that is known, a length and a type of its body."""

from __future__ import annotations

from poolwright.api.auth.requests import Scope, header_values
from poolwright.domain.errors import ServiceError

_VERBS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"})
"""Of RFC 9110 and RFC 5789; the parser lets more through."""
_WITH_BODY = frozenset({"POST", "PUT", "PATCH"})
_TYPE = "application/json"
_SHOWN = 100


def check_verb(method: str) -> None:
    """Raises InvalidHttpVerb (400) for one that is none of HTTP's."""
    if method not in _VERBS:
        raise ServiceError("InvalidHttpVerb", None, (("Method", method[:_SHOWN]),))


def check_length(scope: Scope) -> None:
    """Raises MissingContentLengthHeader (411): what may have a body says how long it is, also when it has none."""
    if scope["method"] in _WITH_BODY and not header_values(scope, b"content-length"):
        raise ServiceError("MissingContentLengthHeader")


def check_type(scope: Scope, body: bytes) -> None:
    """Raises MissingRequiredHeader or InvalidHeaderValue (400): bodies are JSON, and say so."""
    if not body:
        return
    given = header_values(scope, b"content-type")
    values = [("HeaderName", "Content-Type"), ("Reason", f"A body is {_TYPE}.")]
    if not given:
        raise ServiceError("MissingRequiredHeader", None, values)
    if given[0].partition(";")[0].strip().lower() != _TYPE:
        values.insert(1, ("HeaderValue", given[0][:_SHOWN]))
        raise ServiceError("InvalidHeaderValue", None, values)
