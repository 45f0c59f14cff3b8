"""Query strings of the data plane: names in any case, values checked where they are used."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import parse_qsl, quote

from poolwright.domain.errors import ServiceError

_FIELDS_MAX = 64
_OPTIONS = frozenset({"$filter", "$select", "$expand", "$skiptoken"})
"""What the public service knows of OData; a list that is silently neither sorted nor cut would mislead."""


def bad_parameter(
    name: str, value: object, reason: str, code: str = "InvalidQueryParameterValue"
) -> ServiceError:
    """The error for a query parameter, naming it, its value and the reason."""
    shown = str(value)
    if len(shown) > 200:
        shown = shown[:200] + "..."
    values = (("QueryParameterName", name), ("QueryParameterValue", shown), ("Reason", reason))
    return ServiceError(code, None, values)


class Query:
    """The parameters of one request. When a name is given twice, the first counts, as in signatures."""

    def __init__(self, raw: str) -> None:
        self._raw = raw
        try:
            pairs = parse_qsl(raw, keep_blank_values=True, max_num_fields=_FIELDS_MAX, errors="strict")
        except (ValueError, UnicodeDecodeError):
            reason = f"A query has at most {_FIELDS_MAX} parameters, percent-encoded UTF-8."
            raise ServiceError("RequestUrlFailedToParse", None, (("Reason", reason),)) from None
        self._values: dict[str, str] = {}
        for name, value in pairs:
            if name.startswith("$") and name.lower() not in _OPTIONS:
                reason = f"Of OData there are {', '.join(sorted(_OPTIONS))}."
                raise bad_parameter(name[:100], value, reason, "UnsupportedQueryParameter")
            self._values.setdefault(name.lower(), value)

    def text(self, name: str) -> str | None:
        """The value, or None when the parameter is absent or empty."""
        return self._values.get(name.lower()) or None

    def items(self) -> Iterator[tuple[str, str]]:
        """Each parameter once: its name in lower case, and its value."""
        yield from self._values.items()

    def number(self, name: str) -> int | None:
        """The value as a whole number. Raises InvalidQueryParameterValue."""
        value = self.text(name)
        if value is None:
            return None
        if not (value.isascii() and value.isdigit() and len(value) <= 10):
            raise bad_parameter(name, value, "A whole number is needed.")
        return int(value)

    def flag(self, name: str) -> bool:
        """The value as true or false, false when absent. Raises InvalidQueryParameterValue."""
        value = (self.text(name) or "false").lower()
        if value not in ("true", "false"):
            raise bad_parameter(name, value, "true or false is needed.")
        return value == "true"

    def repeated(self, without: str) -> Iterator[str]:
        """Each parameter as `name=value`, percent-encoded, but `without`."""
        for name, value in parse_qsl(self._raw, keep_blank_values=True):
            if name.lower() != without.lower():
                yield f"{quote(name, safe='$')}={quote(value, safe='')}"
