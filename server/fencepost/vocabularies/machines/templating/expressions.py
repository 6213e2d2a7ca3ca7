"""Pipelines: what an action of a template says, as a tree that can be evaluated over data."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any, NamedTuple

from fencepost.domain.nearest import hint, nearest, shortened
from fencepost.vocabularies.machines.templating.functions import FUNCTIONS, LAZY, SEARCHES, is_true
from fencepost.vocabularies.machines.templating.lexer import UNKNOWN_KEYWORDS, BadTemplate, Token, location, unquoted
from fencepost.vocabularies.machines.templating.printing import kind_of
from fencepost.vocabularies.machines.templating.steps import Steps
from fencepost.vocabularies.machines.templating.values import LONGEST

_DEEPEST = 50
_VARIABLES_A_STEP = 100
_CONSTANTS = {"true": True, "false": False, "nil": None}


class Scope(NamedTuple):
    """The values of names at a location of a template: the dot, the variables, and the steps left for the template.

    A variable is a list of its one value, which the blocks below share.
    """

    dot: Any
    variables: dict[str, list[Any]]
    steps: Steps

    def child(self, dot: Any) -> Scope:
        """Return the scope of a block, whose variables are its own."""
        self.steps.take(1 + len(self.variables) // _VARIABLES_A_STEP)
        return Scope(dot, dict(self.variables), self.steps)


class Literal(NamedTuple):
    """A value that stands in the template."""

    value: Any

    def evaluate(self, scope: Scope) -> Any:
        """Return it."""
        return self.value


class Path(NamedTuple):
    """Fields below the dot, a variable, or what an expression in parentheses gives."""

    root: Expression | str | None
    fields: tuple[str, ...]

    def evaluate(self, scope: Scope) -> Any:
        """Return what stands there; raise BadTemplate when there is nothing."""
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
                raise BadTemplate(f"there is no .{field} in {kind_of(value)}")
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
        """Return what the function gives."""
        scope.steps.take_call(self.name)
        if self.name in LAZY:
            value = None
            for argument in self.arguments:
                value = argument.evaluate(scope)
                if is_true(value) == (self.name == "or"):
                    break
            return value
        values = [argument.evaluate(scope) for argument in self.arguments]
        scope.steps.take_arguments(self.name, values)
        try:
            value = FUNCTIONS[self.name][0](*values)
        except BadTemplate as bad:
            raise BadTemplate(f"{self.name}: {bad}") from None
        scope.steps.take_value(value)
        # Printed into variables again and again, a text could double with each step.
        if isinstance(value, str) and len(value) > LONGEST:
            raise BadTemplate(f"{self.name}: the text is longer than {LONGEST} characters")
        return value


Expression = Literal | Path | Call


class ParseContext(NamedTuple):
    """A template while it is read: its text, whether its functions search as Go's do, and its fixed variables.

    `searches_as_go` is None where the text does not say. A variable is fixed while it holds nothing of the data.
    """

    text: str
    searches_as_go: bool | None
    fixed: dict[str, bool]

    def is_fixed(self, expression: Expression) -> bool:
        """Return whether an expression has the same value with all data."""
        match expression:
            case Literal():
                return True
            case Path(root=str() as variable):
                return self.fixed.get(variable, False)
            case Path(root=None):
                return False
            case Path(root=inside):
                return self.is_fixed(inside)  # type: ignore[arg-type]  # neither text nor none
        return all(self.is_fixed(argument) for argument in expression.arguments)


class ExpressionParser:
    """The tokens of one action, taken one after the other."""

    def __init__(self, context: ParseContext, tokens: Sequence[Token], at: int) -> None:
        self._context = context
        self._source = context.text
        self._tokens = deque(tokens)
        self._at = at
        self._depth = 0
        self.declares = False

    @property
    def at_end(self) -> bool:
        """Whether every token has been taken."""
        return not self._tokens

    def take(self, kind: str, text: str | None = None) -> Token | None:
        """Take the next token if it is of a kind, and reads so."""
        if self._tokens and self._tokens[0].kind == kind and text in (None, self._tokens[0].text):
            self._at = self._tokens[0].at
            return self._tokens.popleft()
        return None

    def end(self) -> None:
        """Refuse what is left."""
        if self._tokens:
            raise self.error(f"unexpected {self._tokens[0].text!r}", self._tokens[0].at)

    def error(self, reason: str, at: int | None = None) -> BadTemplate:
        """Return the refusal of what stands here."""
        return BadTemplate(f"{location(self._source, self._at if at is None else at)}: {reason}")

    def variables(self) -> tuple[str, ...]:
        """Take `$x :=` or `$i, $x :=`, if that is what comes; `declares` says whether it was that or `=`."""
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
            raise self.error("what is assigned must be a variable, such as $x")
        return names

    def pipeline(self) -> Expression:
        """Take expressions with `|` between them: each is the last argument of the next."""
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
        if self._depth > _DEEPEST:
            raise self.error(f"nested more than {_DEEPEST} levels deep")

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
        """Take one argument; a function's name among them is a call without arguments."""
        if self._tokens[0].text not in _CONSTANTS and (name := self.take("name")):
            return self._call(name, ())
        return self._operand()

    def _call(self, name: Token, arguments: tuple[Expression, ...]) -> Call:
        if name.text in UNKNOWN_KEYWORDS:
            raise self.error(f"{name.text!r} is not read here", name.at)
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
        """Return whether the text comes first, as for Go; for Sprig the part that is searched for comes first."""
        fixed = self._context.is_fixed(first), self._context.is_fixed(second)
        if fixed[0] != fixed[1]:
            # The part that is searched for is usually in the template, not in the data.
            return fixed[1]
        if self._context.searches_as_go is None:
            reason = "write `version` as it is, or one of both as text in quotes, which then is looked for in the other"
            raise self.error(f"{name.text!r}: it cannot be told what is looked for in what: {reason}", name.at)
        return self._context.searches_as_go

    def _operand(self) -> Expression:
        if not self._tokens:
            raise self.error("something is missing")
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
        # Behind a space, it is the next argument.
        is_of_it = bool(self._tokens) and self._tokens[0].at == self._at + 1
        fields = self.take("field") if is_of_it else None
        return Path(inside, tuple(fields.text[1:].split("."))) if fields else inside

    def _number(self, token: Token) -> int | float:
        if len(token.text) <= 30:
            for read in (lambda text: int(text, 0), float):
                try:
                    return read(token.text)
                except ValueError:
                    continue
        raise self.error(f"{token.text!r} is no number", token.at)
