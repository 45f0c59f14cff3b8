"""Formula text to tree, with errors that name line and column.

The operators' precedence is that of C; the grammar follows the public description of the language.
"""

from __future__ import annotations

from typing import Any, cast

from lark import Lark, Token, Transformer, v_args
from lark.exceptions import LarkError, UnexpectedCharacters, UnexpectedInput, UnexpectedToken

from poolwright.decide.autoscale.tree import (
    Binary,
    Call,
    Choice,
    Expression,
    Formula,
    Member,
    Name,
    Number,
    Place,
    Statement,
    Text,
    Unary,
    Vector,
)
from poolwright.domain.limits import FORMULA_CHARACTERS_MAX, FORMULA_DEPTH_MAX, FORMULA_STATEMENTS_MAX

_GRAMMAR = r"""
start: statement? (";" statement?)*
statement: (IDENT "=")? expression
?expression: either
    | either "?" expression ":" expression -> choice
?either: both | either OR both -> binary
?both: equality | both AND equality -> binary
?equality: relation | equality EQUALITY relation -> binary
?relation: sum | relation RELATION sum -> binary
?sum: product | sum (PLUS | MINUS) product -> binary
?product: unary | product TIMES unary -> binary
?unary: postfix | (MINUS | NOT) unary -> unary
?postfix: primary
    | postfix "." IDENT -> member
    | postfix "." IDENT "(" arguments ")" -> method
?primary: NUMBER -> number
    | STRING -> text
    | IDENT -> name
    | IDENT "(" arguments ")" -> call
    | "[" arguments "]" -> vector
    | "(" expression ")"
arguments: [expression ("," expression)*]

OR: "||"
AND: "&&"
EQUALITY: "==" | "!="
RELATION: "<=" | ">=" | "<" | ">"
PLUS: "+"
MINUS: "-"
TIMES: "*" | "/"
NOT: "!"
IDENT: /\$?[A-Za-z_][A-Za-z0-9_]*/
NUMBER: /(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?/
STRING: /"[^"\n]*"|'[^'\n]*'/
%ignore /\s+/
%ignore /\/\/[^\n]*/
"""


class FormulaError(Exception):
    """The text is not a formula. `code` is the public one; the message names the place and the reason."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def parse(text: str) -> Formula:
    """The tree of a formula.

    Raises FormulaError: AutoScalingFormulaTooLong beyond 8192 characters or 100 statements (public limits), else
    AutoScalingFormulaSyntaxError with line and column.
    """
    if len(text) > FORMULA_CHARACTERS_MAX:
        raise FormulaError(
            "AutoScalingFormulaTooLong",
            f"A formula has at most {FORMULA_CHARACTERS_MAX} characters; this one has {len(text)}.",
        )
    try:
        formula = cast(Formula, _PARSER.parse(text))
    except UnexpectedInput as error:
        raise FormulaError("AutoScalingFormulaSyntaxError", _told(error, text)) from None
    except LarkError as error:
        if isinstance(error.__context__, FormulaError):
            raise error.__context__ from None
        raise FormulaError("AutoScalingFormulaSyntaxError", str(error).splitlines()[0]) from None
    if len(formula.statements) > FORMULA_STATEMENTS_MAX:
        raise FormulaError(
            "AutoScalingFormulaTooLong",
            f"A formula has at most {FORMULA_STATEMENTS_MAX} statements; this one has {len(formula.statements)}.",
        )
    return formula


def at(place: Place) -> str:
    """The place as the service writes it."""
    return f"Line {place.line}, Col {place.column}"


def _told(error: UnexpectedInput, text: str) -> str:
    if isinstance(error, UnexpectedCharacters):
        place, found = Place(error.line, error.column), f"the character {error.char!r}"
    elif isinstance(error, UnexpectedToken) and error.token.type != "$END":
        place, found = Place(error.line, error.column), f"{str(error.token)[:40]!r}"
    else:
        lines = text.split("\n")
        place, found = Place(len(lines), len(lines[-1]) + 1), "the end of the formula"
    return f"{at(place)}: {found} is not expected here."


def _place(token: Token) -> Place:
    return Place(token.line or 1, token.column or 1)


def _depth(place: Place, *parts: Expression) -> int:
    depth = 1 + max((part.depth for part in parts), default=0)
    if depth > FORMULA_DEPTH_MAX:
        text = f"{at(place)}: the expression is nested more than {FORMULA_DEPTH_MAX} deep; use a variable."
        raise FormulaError("AutoScalingFormulaSyntaxError", text)
    return depth


@v_args(inline=True)
class _Builder(Transformer[Token, Formula]):
    """Makes tree nodes while the text is parsed, so that depth is bounded before anything recurses over it."""

    @staticmethod
    def start(*statements: Statement) -> Formula:
        return Formula(statements)

    @staticmethod
    def statement(first: Any, second: Expression | None = None) -> Statement:
        if second is None:
            return Statement(None, first)
        return Statement(Name(str(first), _place(first)), second)

    @staticmethod
    def arguments(*found: Expression | None) -> tuple[Expression, ...]:
        return tuple(item for item in found if item is not None)

    @staticmethod
    def choice(condition: Expression, then: Expression, other: Expression) -> Expression:
        place = condition.place
        return Choice(condition, then, other, place, _depth(place, condition, then, other))

    @staticmethod
    def binary(left: Expression, operator: Token, right: Expression) -> Expression:
        place = _place(operator)
        return Binary(str(operator), left, right, place, _depth(place, left, right))

    @staticmethod
    def unary(operator: Token, operand: Expression) -> Expression:
        place = _place(operator)
        return Unary(str(operator), operand, place, _depth(place, operand))

    @staticmethod
    def member(subject: Expression, name: Token) -> Expression:
        place = _place(name)
        return Member(subject, str(name), None, place, _depth(place, subject))

    @staticmethod
    def method(subject: Expression, name: Token, arguments: tuple[Expression, ...]) -> Expression:
        place = _place(name)
        return Member(subject, str(name), arguments, place, _depth(place, subject, *arguments))

    @staticmethod
    def number(token: Token) -> Expression:
        return Number(float(token), _place(token))

    @staticmethod
    def text(token: Token) -> Expression:
        return Text(str(token)[1:-1], _place(token))

    @staticmethod
    def name(token: Token) -> Expression:
        return Name(str(token), _place(token))

    @staticmethod
    def call(name: Token, arguments: tuple[Expression, ...]) -> Expression:
        place = _place(name)
        return Call(str(name), arguments, place, _depth(place, *arguments))

    @staticmethod
    def vector(arguments: tuple[Expression, ...]) -> Expression:
        place = arguments[0].place if arguments else Place(1, 1)
        return Vector(arguments, place, _depth(place, *arguments))


_PARSER = Lark(
    _GRAMMAR, parser="lalr", transformer=_Builder(), propagate_positions=False, maybe_placeholders=False
)
