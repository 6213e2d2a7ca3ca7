"""Parses the pipeline of an action into an expression tree, and evaluates it."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any, NamedTuple

from fencepost.domain.suggestions import hint, nearest, shortened
from fencepost.vocabularies.machines.templating.budget import Budget
from fencepost.vocabularies.machines.templating.formatting import type_name
from fencepost.vocabularies.machines.templating.functions import FUNCTIONS, LAZY, SEARCHES, is_true
from fencepost.vocabularies.machines.templating.lexer import UNKNOWN_KEYWORDS, BadTemplate, Token, location, unquoted
from fencepost.vocabularies.machines.templating.values import MAX_TEXT

_MAX_DEPTH = 50
_VARIABLES_PER_STEP = 100
_CONSTANTS = {"true": True, "false": False, "nil": None}


class Scope(NamedTuple):
    """The dot, the variables and the remaining budget at one location of a template.

    Each variable is a list of one value, so that nested blocks share it and can assign to it.
    """

    dot: Any
    variables: dict[str, list[Any]]
    budget: Budget

    def child(self, dot: Any) -> Scope:
        """Return the scope of a nested block; variables declared there end with it."""
        self.budget.spend(1 + len(self.variables) // _VARIABLES_PER_STEP)
        return Scope(dot, dict(self.variables), self.budget)


class Literal(NamedTuple):
    """A constant."""

    value: Any

    def evaluate(self, scope: Scope) -> Any:
        """Return the constant."""
        return self.value


class Path(NamedTuple):
    """Fields of the dot (`root` is None), of a variable (its name), or of an expression in parentheses."""

    root: Expression | str | None
    fields: tuple[str, ...]

    def evaluate(self, scope: Scope) -> Any:
        """Return the value; raise BadTemplate if a variable or a field is missing."""
        if self.root is None:
            value = scope.dot
        elif isinstance(self.root, str):
            if self.root not in scope.variables:
                raise BadTemplate(f"there is no variable {self.root}")
            value = scope.variables[self.root][0]
        else:
            value = self.root.evaluate(scope)
        for field in self.fields:
            if not isinstance(value, dict):
                raise BadTemplate(f"there is no .{field} in {type_name(value)}")
            if field not in value:
                near = nearest(field, value)
                raise BadTemplate(f"there is no .{shortened(field)}" + (f"; did you mean .{near}?" if near else ""))
            value = value[field]
        return value


class Call(NamedTuple):
    """A function and its arguments."""

    name: str
    arguments: tuple[Expression, ...]

    def evaluate(self, scope: Scope) -> Any:
        """Return the result of the function; raise BadTemplate for wrong arguments or an exhausted budget."""
        scope.budget.spend_call(self.name)
        if self.name in LAZY:
            value = None
            for argument in self.arguments:
                value = argument.evaluate(scope)
                if is_true(value) == (self.name == "or"):
                    break
            return value
        values = [argument.evaluate(scope) for argument in self.arguments]
        scope.budget.spend_arguments(self.name, values)
        try:
            value = FUNCTIONS[self.name][0](*values)
        except BadTemplate as bad:
            raise BadTemplate(f"{self.name}: {bad}") from None
        scope.budget.spend_value(value)
        # Assigned to a variable again and again, a text could double with each step.
        if isinstance(value, str) and len(value) > MAX_TEXT:
            raise BadTemplate(f"{self.name}: the text is longer than {MAX_TEXT} characters")
        return value


Expression = Literal | Path | Call


class ParseContext(NamedTuple):
    """The template that is being parsed: its text, the argument order of its search functions, its constant variables.

    `searches_as_go` is None if the version is not known before rendering. `fixed` says of each variable whether its
    value is independent of the data.
    """

    text: str
    searches_as_go: bool | None
    fixed: dict[str, bool]

    def is_fixed(self, expression: Expression) -> bool:
        """Return whether the value of an expression is independent of the data."""
        match expression:
            case Literal():
                return True
            case Path(root=str() as variable):
                return self.fixed.get(variable, False)
            case Path(root=None):
                return False
            case Path(root=inside):
                return self.is_fixed(inside)  # type: ignore[arg-type]  # str and None are matched above
        return all(self.is_fixed(argument) for argument in expression.arguments)


class ExpressionParser:
    """A recursive-descent parser for the tokens of one action; its methods raise BadTemplate."""

    def __init__(self, context: ParseContext, tokens: Sequence[Token], at: int) -> None:
        self._context = context
        self._source = context.text
        self._tokens = deque(tokens)
        self._at = at
        self._depth = 0
        self.declares = False

    @property
    def at_end(self) -> bool:
        """Whether all tokens are consumed."""
        return not self._tokens

    def take(self, kind: str, text: str | None = None) -> Token | None:
        """Consume the next token if its kind, and its text if given, match; return None otherwise."""
        if self._tokens and self._tokens[0].kind == kind and text in (None, self._tokens[0].text):
            self._at = self._tokens[0].at
            return self._tokens.popleft()
        return None

    def end(self) -> None:
        """Raise BadTemplate if tokens are left."""
        if self._tokens:
            raise self.error(f"unexpected {self._tokens[0].text!r}", self._tokens[0].at)

    def error(self, reason: str, at: int | None = None) -> BadTemplate:
        """Return an error with the current location, or that of the offset `at`."""
        return BadTemplate(f"{location(self._source, self._at if at is None else at)}: {reason}")

    def variables(self) -> tuple[str, ...]:
        """Consume `$x :=` or `$i, $x :=`, if present; `declares` is then whether it was `:=` rather than `=`."""
        if len(self._tokens) >= 2 and self._tokens[1].kind == "assign":
            count = 1
        elif len(self._tokens) >= 4 and self._tokens[1].text == "," and self._tokens[3].kind == "assign":
            count = 2
        else:
            return ()
        taken = [self._tokens.popleft().text for _ in range(2 * count)]
        self.declares = taken[-1] == ":="
        names = tuple(taken[::2])
        if not all(name.startswith("$") and "." not in name and len(name) > 1 for name in names):
            raise self.error("the target of an assignment must be a variable, such as $x")
        return names

    def pipeline(self) -> Expression:
        """Consume commands separated by `|`; each becomes the last argument of the next."""
        outside = self._depth
        self._go_deeper()
        expression = self._command(())
        while self.take("punctuation", "|"):
            if not self._tokens or self._tokens[0].kind != "name" or self._tokens[0].text in _CONSTANTS:
                raise self.error("only a function can follow a |")
            self._go_deeper()
            expression = self._command((expression,))
        self._depth = outside
        return expression

    def _go_deeper(self) -> None:
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise self.error(f"nested more than {_MAX_DEPTH} levels deep")

    def _command(self, piped: tuple[Expression, ...]) -> Expression:
        name = None
        if self._tokens and self._tokens[0].text not in _CONSTANTS:
            name = self.take("name")
        if name is None:
            first = self._operand()
            if self._tokens and self._tokens[0].text not in ("|", ")"):
                raise self.error(f"unexpected {self._tokens[0].text!r}", self._tokens[0].at)
            return first
        arguments = []
        while self._tokens and self._tokens[0].text not in ("|", ")"):
            arguments.append(self._argument())
        return self._call(name, (*arguments, *piped))

    def _argument(self) -> Expression:
        """Consume one argument; the name of a function there is a call without arguments."""
        if self._tokens[0].text not in _CONSTANTS and (name := self.take("name")):
            return self._call(name, ())
        return self._operand()

    def _call(self, name: Token, arguments: tuple[Expression, ...]) -> Call:
        if name.text in UNKNOWN_KEYWORDS:
            raise self.error(f"{name.text!r} is not supported", name.at)
        if name.text not in LAZY and name.text not in FUNCTIONS:
            near = hint(name.text, [*FUNCTIONS, *LAZY])
            raise self.error(f"there is no function {shortened(name.text)!r}{near}", name.at)
        least, most = (1, 32) if name.text in LAZY else FUNCTIONS[name.text][1:]
        if not least <= len(arguments) <= most:
            raise self.error(f"{name.text!r} does not take {len(arguments)} arguments", name.at)
        if name.text in SEARCHES and not self._text_comes_first(name, *arguments):
            arguments = arguments[::-1]
        return Call(name.text, arguments)

    def _text_comes_first(self, name: Token, first: Expression, second: Expression) -> bool:
        """Return whether the text is the first argument, as in Go, or the searched part, as in Sprig."""
        fixed = self._context.is_fixed(first), self._context.is_fixed(second)
        if fixed[0] != fixed[1]:
            # The searched part is usually a constant, the text comes from the data.
            return fixed[1]
        if self._context.searches_as_go is None:
            reason = "write `version` without an action, or the searched text in quotes"
            raise self.error(f"{name.text!r}: the order of its arguments is ambiguous: {reason}", name.at)
        return self._context.searches_as_go

    def _operand(self) -> Expression:
        if not self._tokens:
            raise self.error("a value is missing")
        token = self._tokens.popleft()
        self._at = token.at
        match token.kind:
            case "field":
                return Path(None, tuple(token.text[1:].split(".")))
            case "dot":
                return Path(None, ())
            case "variable":
                name, *fields = token.text.split(".")
                return Path(name, tuple(fields))
            case "text" | "raw":
                return Literal(unquoted(token, self._source))
            case "number":
                return Literal(self._number(token))
            case "name" if token.text in _CONSTANTS:
                return Literal(_CONSTANTS[token.text])
            case "punctuation" if token.text == "(":
                return self._parenthesis()
        raise self.error(f"unexpected {token.text!r}", token.at)

    def _parenthesis(self) -> Expression:
        inside = self.pipeline()
        if not self.take("punctuation", ")"):
            raise self.error("a ) is missing")
        # After a space, a field is the next argument.
        is_adjacent = bool(self._tokens) and self._tokens[0].at == self._at + 1
        fields = self.take("field") if is_adjacent else None
        return Path(inside, tuple(fields.text[1:].split("."))) if fields else inside

    def _number(self, token: Token) -> int | float:
        if len(token.text) <= 30:
            for read in (lambda text: int(text, 0), float):
                try:
                    return read(token.text)
                except ValueError:
                    continue
        raise self.error(f"{token.text!r} is not a number", token.at)
