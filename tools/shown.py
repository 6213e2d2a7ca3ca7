"""Tables of statements: the last cell of a row lists the tests that carry the row's key in `pytest.mark.shows`.

A row names its key in a comment, `<!-- shows devices/one-run -->`. A test names it beside its function,
`@pytest.mark.shows("devices/one-run")`, or for the whole module in `pytestmark`.
"""

from __future__ import annotations

import ast
import os
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
PAGES = (
    "docs/guarantees.md",
    *(f"tests/vocabularies/{name}/STATEMENTS.md" for name in ("devices", "machines", "people", "taskflow")),
)
_KEY = re.compile(r"<!-- shows (\S+) -->")
_CELL = re.compile(r"<!-- shows (\S+) -->[^|]*\|$", re.MULTILINE)


class Shower(NamedTuple):
    """A test module, or one function in it, that shows a statement."""

    path: str
    function: str | None


def keys(page: str) -> list[str]:
    """Return the keys of a page's rows, in their order."""
    return _KEY.findall((ROOT / page).read_text("utf-8"))


def with_tests(page: str) -> str:
    """Return the text of a page with the tests of each row in its last cell."""
    showing = showers()

    def cell(found: re.Match[str]) -> str:
        tests = ", ".join(_reference(page, one) for one in showing.get(found[1], ()))
        return f"<!-- shows {found[1]} --> {tests} |"

    return _CELL.sub(cell, (ROOT / page).read_text("utf-8"))


@cache
def showers() -> Mapping[str, list[Shower]]:
    """Return for each key the tests that carry it, sorted."""
    found: defaultdict[str, list[Shower]] = defaultdict(list)
    for file in sorted(ROOT.glob("tests/**/test_*.py")):
        text = file.read_text("utf-8")
        if "mark.shows(" in text:
            path = file.relative_to(ROOT).as_posix()
            for key, function in sorted(_marks(ast.parse(text)), key=lambda mark: (mark[0], mark[1] or "")):
                found[key].append(Shower(path, function))
    return found


def _marks(module: ast.Module) -> Iterator[tuple[str, str | None]]:
    """Yield the keys in a module, each with the function that carries it, or None for the whole module."""
    for node in module.body:
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                yield from ((key, node.name) for decorator in node.decorator_list for key in _keys(decorator))
            case ast.Assign(targets=[ast.Name(id="pytestmark")]):
                yield from ((key, None) for key in _keys(node.value))


def _keys(marks: ast.expr) -> Iterator[str]:
    for node in ast.walk(marks):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "pytest.mark.shows":
            yield from (ast.literal_eval(argument) for argument in node.args)


def _reference(page: str, test: Shower) -> str:
    """Return how a page names a test: below tests/ as a link, in docs as a path, since the site has no tests."""
    if page.startswith("docs/"):
        return f"`{test.path}`" if test.function is None else f"`{test.path}::{test.function}`"
    target = os.path.relpath(ROOT / test.path, (ROOT / page).parent)
    return f"[`{test.function or Path(test.path).name}`]({target})"
