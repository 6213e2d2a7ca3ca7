"""The tables of the vocabularies: what they say and the test that shows it. Every test that they name exists."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from tests.house.sources import DOCS, ROOT

_NAMED = re.compile(r"`(tests/[\w/]+\.py)::(\w+)(?:\[[^\]`]*\])?`")
PAGES = sorted(page for page in DOCS.rglob("*.md") if _NAMED.search(page.read_text("utf-8")))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_test_that_a_table_names_exists(page: Path) -> None:
    named = {(file, name) for file, name in _NAMED.findall(page.read_text("utf-8"))}
    assert not {f"{file}::{name}" for file, name in named if name not in _tests(ROOT / file)}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_row_of_such_a_table_names_a_test(page: Path) -> None:
    rows = _rows(page.read_text("utf-8"))
    assert rows, "tables with a column of tests have rows"
    assert not [row for row in rows if not _NAMED.search(row)]


def _rows(text: str) -> list[str]:
    """Return the rows of the tables whose heading says that their last column is for tests."""
    rows: list[str] = []
    inside = False
    for line in text.splitlines():
        if not line.startswith("|"):
            inside = False
        elif re.search(r"\|\s*(shown by|test)\s*\|$", line, re.IGNORECASE):
            inside = True
        elif inside and not re.fullmatch(r"[|\s:-]+", line):
            rows.append(line)
    return rows


@cache
def _tests(file: Path) -> frozenset[str]:
    """Return the names of a file's test functions, and of the test cases that hypothesis makes of state machines."""
    if not file.is_file():
        return frozenset()
    tree = ast.parse(file.read_text("utf-8"))
    functions = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
    cases = {
        target.id
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    return frozenset(functions | cases)
