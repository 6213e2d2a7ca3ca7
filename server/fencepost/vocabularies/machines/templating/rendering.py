"""Renders templates in the subset of Go's text/template that provisioning templates use.

It has fields (`{{.device_1}}`), variables, pipelines, `if`, `with`, `range` and the functions of functions.py. A
missing value is an error (`missingkey=error`), as is an unknown function or keyword. Templates are untrusted input: a
step budget bounds each rendering, so that three nested `range` cannot keep a server busy.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from fencepost.vocabularies.machines.templating.budget import Budget
from fencepost.vocabularies.machines.templating.expressions import Expression, ExpressionParser, ParseContext, Scope
from fencepost.vocabularies.machines.templating.formatting import format_value, type_name
from fencepost.vocabularies.machines.templating.functions import is_true
from fencepost.vocabularies.machines.templating.lexer import KEYWORDS, BadTemplate, Segment, location, segments
from fencepost.vocabularies.machines.templating.values import MAX_TEXT

_VALUE = r"[ \t]*:[ \t]*(\"[^\"\n]*\"|'[^'\n]*'|[^\n#,}]*)"
_VERSION_OF_A_LINE = re.compile(rf"^[\"']?version[\"']?{_VALUE}", re.MULTILINE)
_VERSION_OF_A_MAP = re.compile(rf"[{{,]\s*[\"']?version[\"']?{_VALUE}")
# Servers of Tinkerbell up to v0.10.0 require this version, and their functions search as Go does. Later servers accept
# any version and have the functions of Sprig.
_GO_SEARCH_VERSION = "0.1"
_MAX_STEPS = 100_000
_MAX_DEPTH = 50


class _Text(NamedTuple):
    text: str


class _Output(NamedTuple):
    expression: Expression
    variables: tuple[str, ...]
    declares: bool
    at: int


class _Block(NamedTuple):
    keyword: str
    expression: Expression
    variables: tuple[str, ...]
    body: Sequence[_Node]
    otherwise: Sequence[_Node]
    at: int


_Node = _Text | _Output | _Block


class TextTemplate:
    """A parsed template; raises BadTemplate if the source cannot be parsed."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._nodes = _Parser(source).read()

    @property
    def is_plain(self) -> bool:
        """Whether the template is plain text, without actions."""
        return all(isinstance(node, _Text) for node in self._nodes)

    @property
    def has_conditional_lines(self) -> bool:
        """Whether a block encloses whole lines, which the rendered text may then have many times or not at all."""
        return any(isinstance(node, _Block) and _has_lines([node]) for node in self._nodes)

    def render(self, data: Any) -> str:
        """Return the rendered text; raise BadTemplate for a missing value, a wrong type or too much work."""
        return _Renderer(self._source).render(self._nodes, data)


@lru_cache(maxsize=64)
def parsed_template(source: str) -> TextTemplate:
    """Return a template, parsed once and cached; raise BadTemplate."""
    return TextTemplate(source)


def _searches_as_go(source: str) -> bool | None:
    """Return whether the version of a template means Go's search functions; None if the version is itself rendered."""
    found = _VERSION_OF_A_LINE.search(source) or _VERSION_OF_A_MAP.search(source)
    version = "" if found is None else found[1].strip("\"' ")
    return None if "{{" in version else version == _GO_SEARCH_VERSION


def _has_lines(nodes: Sequence[_Node]) -> bool:
    return any(
        "\n" in node.text
        if isinstance(node, _Text)
        else isinstance(node, _Block) and _has_lines([*node.body, *node.otherwise])
        for node in nodes
    )


class _Parser:
    def __init__(self, source: str) -> None:
        self._source = source
        self._context = ParseContext(source, _searches_as_go(source), {})
        self._segments = segments(source)

    def read(self) -> Sequence[_Node]:
        nodes, closing = self._nodes(0)
        if closing is not None:
            raise closing.error("unexpected else or end")
        return nodes

    def _nodes(self, depth: int) -> tuple[list[_Node], ExpressionParser | None]:
        """Parse up to an `else` or `end`; return the nodes and the parser of that closing action."""
        nodes: list[_Node] = []
        for segment in self._segments:
            if segment.tokens is None:
                if segment.text:
                    nodes.append(_Text(segment.text))
                continue
            parser = ExpressionParser(self._context, segment.tokens, segment.at)
            if segment.tokens and segment.tokens[0].text in ("else", "end"):
                return nodes, parser
            nodes.append(self._node(segment, parser, depth))
        return nodes, None

    def _node(self, segment: Segment, parser: ExpressionParser, depth: int) -> _Node:
        for keyword in KEYWORDS:
            if parser.take("name", keyword):
                return self._block(keyword, segment, parser, depth + 1)
        variables = parser.variables()
        expression = parser.pipeline()
        parser.end()
        self._assign(variables, expression)
        return _Output(expression, variables, parser.declares, segment.at)

    def _assign(self, variables: tuple[str, ...], expression: Expression | None) -> None:
        for variable in variables:
            # Once a variable has held data, it stays variable: a loop may run an earlier block again.
            is_fixed = expression is not None and self._context.is_fixed(expression)
            self._context.fixed[variable] = is_fixed and self._context.fixed.get(variable, True)

    def _block(self, keyword: str, segment: Segment, parser: ExpressionParser, depth: int) -> _Block:
        if depth > _MAX_DEPTH:
            raise parser.error(f"nested more than {_MAX_DEPTH} levels deep")
        variables = parser.variables()
        if len(variables) == 2 and keyword != "range":
            raise parser.error("two variables are for range")
        expression = parser.pipeline()
        parser.end()
        self._assign(variables, None if keyword == "range" else expression)
        body, closing = self._nodes(depth)
        otherwise: Sequence[_Node] = ()
        if closing is not None and closing.take("name", "else"):
            if keyword != "range" and not closing.at_end and closing.take("name", keyword):
                # `else if` shares the `end` of the whole block.
                otherwise = [self._block(keyword, segment, closing, depth + 1)]
                return _Block(keyword, expression, variables, body, otherwise, segment.at)
            closing.end()
            otherwise, closing = self._nodes(depth)
        if closing is None or not closing.take("name", "end"):
            raise BadTemplate(f"{location(self._source, segment.at)}: {keyword} without an end")
        closing.end()
        return _Block(keyword, expression, variables, body, otherwise, segment.at)


class _Renderer:
    """One rendering, with its remaining budget of steps and characters."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._budget = Budget(_MAX_STEPS)
        self._left = MAX_TEXT
        self._out: list[str] = []

    def render(self, nodes: Sequence[_Node], data: Any) -> str:
        self._nodes(nodes, Scope(data, {"$": [data]}, self._budget))
        return "".join(self._out)

    def _nodes(self, nodes: Sequence[_Node], scope: Scope) -> None:
        for node in nodes:
            self._budget.spend()
            if isinstance(node, _Text):
                self._write(node.text)
                continue
            try:
                value = node.expression.evaluate(scope)
                text = format_value(value) if isinstance(node, _Output) and not node.variables else ""
            except BadTemplate as bad:
                raise BadTemplate(f"{location(self._source, node.at)}: {bad}") from None
            if isinstance(node, _Block):
                self._block(node, value, scope)
            elif node.declares:
                scope.variables[node.variables[0]] = [value]
            elif node.variables:
                self._assign(node, value, scope)
            else:
                self._write(text)

    def _assign(self, node: _Output, value: Any, scope: Scope) -> None:
        """Assign to a variable in the scope that declared it, which may enclose this block."""
        (name,) = node.variables
        if name not in scope.variables:
            raise BadTemplate(f"{location(self._source, node.at)}: there is no variable {name}")
        scope.variables[name][0] = value

    def _block(self, block: _Block, value: Any, scope: Scope) -> None:
        if block.keyword == "range":
            self._range(block, value, scope)
            return
        inner = scope.child(scope.dot)
        if block.variables:
            inner.variables[block.variables[0]] = [value]
        if is_true(value):
            self._nodes(block.body, inner._replace(dot=value) if block.keyword == "with" else inner)
        else:
            self._nodes(block.otherwise, inner)

    def _range(self, block: _Block, value: Any, scope: Scope) -> None:
        if not is_true(value):
            self._nodes(block.otherwise, scope)
            return
        for key, item in self._items(block, value):
            inner = scope.child(item)
            if block.variables:
                inner.variables[block.variables[-1]] = [item]
            if len(block.variables) == 2:
                inner.variables[block.variables[0]] = [key]
            self._nodes(block.body, inner)

    def _items(self, block: _Block, value: Any) -> Iterator[tuple[Any, Any]]:
        if isinstance(value, list):
            yield from enumerate(value)
        elif isinstance(value, dict):
            yield from ((key, value[key]) for key in sorted(value))
        else:
            raise BadTemplate(f"{location(self._source, block.at)}: cannot range over {type_name(value)}")

    def _write(self, text: str) -> None:
        self._left -= len(text)
        if self._left < 0:
            raise BadTemplate(f"the text is longer than {MAX_TEXT} characters")
        self._out.append(text)
