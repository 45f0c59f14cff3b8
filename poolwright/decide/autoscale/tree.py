"""The tree of a formula. Every node knows its place (line and column, from 1) and how deep it is."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Place:
    """Where in the formula, counted from 1."""

    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Number:
    value: float
    place: Place
    depth: int = 1


@dataclass(frozen=True, slots=True)
class Text:
    value: str
    place: Place
    depth: int = 1


@dataclass(frozen=True, slots=True)
class Name:
    """A variable, constant or bare word as it was written."""

    name: str
    place: Place
    depth: int = 1


@dataclass(frozen=True, slots=True)
class Vector:
    items: tuple[Expression, ...]
    place: Place
    depth: int


@dataclass(frozen=True, slots=True)
class Call:
    function: str
    arguments: tuple[Expression, ...]
    place: Place
    depth: int


@dataclass(frozen=True, slots=True)
class Member:
    """`subject.name`, or `subject.name(arguments)` where `arguments` is not None."""

    subject: Expression
    name: str
    arguments: tuple[Expression, ...] | None
    place: Place
    depth: int


@dataclass(frozen=True, slots=True)
class Unary:
    operator: str
    operand: Expression
    place: Place
    depth: int


@dataclass(frozen=True, slots=True)
class Binary:
    operator: str
    left: Expression
    right: Expression
    place: Place
    depth: int


@dataclass(frozen=True, slots=True)
class Choice:
    """`condition ? then : other`."""

    condition: Expression
    then: Expression
    other: Expression
    place: Place
    depth: int


Expression = Number | Text | Name | Vector | Call | Member | Unary | Binary | Choice


@dataclass(frozen=True, slots=True)
class Statement:
    """`target = expression`, or an expression alone where `target` is None."""

    target: Name | None
    expression: Expression


@dataclass(frozen=True, slots=True)
class Formula:
    statements: tuple[Statement, ...]
