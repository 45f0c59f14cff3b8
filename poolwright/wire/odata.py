"""$filter, $select and $expand, as far as the data plane knows them.

A filter is parsed to a small tree, checked against the fields and operators its list allows, and becomes a
predicate over documents of the wire. Values of strings are compared without regard to case, names with it.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from lark import Lark, Token, Transformer, v_args
from lark.exceptions import LarkError

from poolwright.domain.clock import Instant
from poolwright.wire.filters import Field, Kind
from poolwright.wire.query import Query, bad_parameter
from poolwright.wire.times import parse_time

Document = dict[str, Any]
Predicate = Callable[[Document], bool]
Literal = str | int | bool

_FILTER_MAX = 2048
"""Characters; deeper nesting than fits into that is nobody's filter."""

_GRAMMAR = r"""
?start: alternatives
alternatives: conjunction ("or" conjunction)*
conjunction: _term ("and" _term)*
_term: comparison | prefix | "(" alternatives ")"
comparison: NAME OPERATOR literal
prefix: "startswith" "(" NAME "," STRING ")"
?literal: STRING -> text
        | MOMENT -> moment
        | NUMBER -> number
        | TRUTH -> truth

OPERATOR: "eq" | "ne" | "gt" | "ge" | "lt" | "le"
TRUTH: "true" | "false"
NAME: /[A-Za-z][A-Za-z0-9]*(\/[A-Za-z][A-Za-z0-9]*)*/
STRING: /'(?:[^']|'')*'/
MOMENT: /datetime'[^']*'/i
NUMBER: /-?\d{1,18}/
%ignore /\s+/
"""


@dataclass(frozen=True, slots=True)
class Comparison:
    """`field operator value`; `quoted` says that the value was written as a string."""

    field: str
    operator: str
    value: Literal
    quoted: bool


@dataclass(frozen=True, slots=True)
class Prefix:
    """`startswith(field, 'start')`."""

    field: str
    start: str


@dataclass(frozen=True, slots=True)
class Both:
    """All of the parts."""

    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Either:
    """Any of the parts."""

    parts: tuple[Node, ...]


Node = Comparison | Prefix | Both | Either


def _unquoted(token: Token) -> str:
    return str(token)[1:-1].replace("''", "'")


@v_args(inline=True)
class _Tree(Transformer[Token, Node]):
    def alternatives(self, *parts: Node) -> Node:
        return parts[0] if len(parts) == 1 else Either(parts)

    def conjunction(self, *parts: Node) -> Node:
        return parts[0] if len(parts) == 1 else Both(parts)

    def comparison(self, field: Token, how: Token, value: tuple[Literal, bool]) -> Node:
        return Comparison(str(field), str(how), *value)

    def prefix(self, field: Token, start: Token) -> Node:
        return Prefix(str(field), _unquoted(start))

    def text(self, token: Token) -> tuple[Literal, bool]:
        return _unquoted(token), True

    def moment(self, token: Token) -> tuple[Literal, bool]:
        return str(token)[len("datetime'") : -1], True

    def number(self, token: Token) -> tuple[Literal, bool]:
        return int(token), False

    def truth(self, token: Token) -> tuple[Literal, bool]:
        return str(token) == "true", False


_parser = Lark(_GRAMMAR, parser="lalr", transformer=_Tree())
#: Names in filters that differ from those in documents.
_ALIASES = {"lastModifiedTime": "lastModified"}
_OPERATORS: Mapping[str, Callable[[Any, Any], bool]] = {
    "eq": operator.eq,
    "ne": operator.ne,
    "gt": operator.gt,
    "ge": operator.ge,
    "lt": operator.lt,
    "le": operator.le,
}


def parse(text: str) -> Node:
    """The tree of a filter. ValueError with the reason."""
    if len(text) > _FILTER_MAX:
        raise ValueError(f"A filter has at most {_FILTER_MAX} characters.")
    try:
        return _parser.parse(text)  # type: ignore[return-value]
    except LarkError as bad:
        column = getattr(bad, "column", None)
        place = f" at character {column}" if isinstance(column, int) and column > 0 else " at its end"
        raise ValueError(f"The filter cannot be read{place}.") from None


def read_filter(query: Query, fields: Mapping[str, Field]) -> Predicate | None:
    """The predicate of `$filter`, None without one. Raises InvalidQueryParameterValue."""
    text = query.text("$filter")
    if text is None:
        return None
    try:
        return _predicate(parse(text), fields)
    except (ValueError, RecursionError) as bad:
        raise bad_parameter("$filter", text, str(bad)) from None


def _predicate(node: Node, fields: Mapping[str, Field]) -> Predicate:
    match node:
        case Both(parts):
            every = [_predicate(part, fields) for part in parts]
            return lambda document: all(test(document) for test in every)
        case Either(parts):
            some = [_predicate(part, fields) for part in parts]
            return lambda document: any(test(document) for test in some)
        case Prefix(name, start):
            _field(name, "startswith", fields)
            return _starting(name, start.lower())
        case Comparison(name, how, value, quoted):
            field = _field(name, how, fields)
            return _comparing(name, how, field.kind, _typed(field, name, value, quoted))


def _field(name: str, how: str, fields: Mapping[str, Field]) -> Field:
    field = fields.get(name)
    if field is None:
        raise ValueError(
            f"Lists of this kind cannot be filtered by '{name}'; by these they can: {', '.join(fields)}."
        )
    if how not in field.operators:
        raise ValueError(f"'{name}' takes {', '.join(sorted(field.operators))}, not '{how}'.")
    return field


def _typed(field: Field, name: str, value: Literal, quoted: bool) -> Literal:
    match field.kind:
        case Kind.TEXT if quoted:
            return str(value).lower()
        case Kind.TIME if quoted:
            return _instant(str(value))
        case Kind.NUMBER if not quoted and not isinstance(value, bool):
            return value
        case Kind.TRUTH if isinstance(value, bool):
            return value
    raise ValueError(f"'{name}' is compared with {field.kind.value}.")


@lru_cache(maxsize=8192)
def _instant(text: str) -> Instant:
    return parse_time(text)


def _comparing(name: str, how: str, kind: Kind, wanted: Any) -> Predicate:
    path, compare = _ALIASES.get(name, name).split("/"), _OPERATORS[how]

    def test(document: Document) -> bool:
        found = _at(document, path)
        if found is None:
            return False  # no comparison holds for what is absent: a task that has not ended has no exit code yet
        if kind is Kind.TEXT:
            found = found.lower()
        elif kind is Kind.TIME:
            found = _instant(found)
        return compare(found, wanted)

    return test


def _starting(name: str, start: str) -> Predicate:
    path = name.split("/")

    def test(document: Document) -> bool:
        found = _at(document, path)
        return isinstance(found, str) and found.lower().startswith(start)

    return test


def _at(document: Document, path: list[str]) -> Any:
    value: Any = document
    for step in path:
        value = value.get(step) if isinstance(value, dict) else None
    return value


def read_select(query: Query, members: frozenset[str]) -> frozenset[str] | None:
    """The members `$select` names, None for all. Raises InvalidQueryParameterValue for one that does not exist."""
    text = query.text("$select")
    if text is None:
        return None
    names = {name.strip().split("/")[0] for name in text.split(",")} - {""}
    unknown = sorted(names - members)
    if unknown:
        raise bad_parameter("$select", text, f"There is no member '{unknown[0]}' to select.")
    return frozenset(names)


def check_expand(query: Query) -> None:
    """`$expand` may ask for `stats` only. Where none are kept nothing is added."""
    text = query.text("$expand")
    if text is not None and {name.strip() for name in text.split(",")} - {"stats"}:
        raise bad_parameter("$expand", text, "Only stats can be expanded.")


def wants_stats(query: Query) -> bool:
    """Whether `$expand` or `$select` asks for statistics."""
    given = (query.text("$expand") or "", query.text("$select") or "")
    return any("stats" in {name.strip() for name in text.split(",")} for text in given)


def selected(document: Document, names: frozenset[str] | None) -> Document:
    """Those members of a document that were selected."""
    if names is None:
        return document
    return {name: value for name, value in document.items() if name in names}


_ONLY_PREFIX = re.compile(r"\s*startswith\(\s*(\w+)\s*,\s*'((?:[^']|'')*)'\s*\)\s*\Z", re.IGNORECASE)


def only_prefix(query: Query, property_name: str) -> str:
    """The text that everything must start with, when that is all a filter asks for; else the empty text.

    It spares looking at what the filter would leave out; the filter itself still decides.
    """
    match = _ONLY_PREFIX.match(query.text("$filter") or "")
    return match[2].replace("''", "'") if match and match[1] == property_name else ""
