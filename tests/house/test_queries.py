"""Every statement is a file with a header, in the house style, used by the store, and valid for the migrated schema."""

from __future__ import annotations

import ast
import itertools
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import get_args

import pytest
from psycopg import pq

from fencepost.domain.listing import Direction, Sort
from fencepost.domain.task import ShortTask, Task
from fencepost.store.connection import Connection, connect, numbered_params
from fencepost.store.statements import ordered, short_statement, statement
from tests.house.sources import QUERIES, modules

FILES = sorted(QUERIES.rglob("*.sql"))
NAMES = [file.relative_to(QUERIES).with_suffix("").as_posix() for file in FILES]
LOADERS = {"statement", "short_statement", "ordered"}

each_file = pytest.mark.parametrize("file", FILES, ids=NAMES)


@each_file
def test_a_statement_file_has_a_header_with_takes_returns_and_touches(file: Path) -> None:
    lines = file.read_text("utf-8").splitlines()
    header = list(itertools.takewhile(lambda line: line.startswith("-- "), lines))
    assert lines[len(header)][:2] != "--", "an empty comment line"
    assert header[0].endswith("."), "the first line is one sentence"
    words = [line.split(":")[0] for line in header[1:] if re.match(r"-- [A-Z][a-z]+: ", line)]
    assert words == ["-- Takes", "-- Returns", "-- Touches"]
    assert header[1].startswith("-- Takes:   "), "there is a line between the sentence and Takes"


@each_file
def test_a_statement_file_is_one_statement_in_lower_case(file: Path) -> None:
    text = file.read_text("utf-8")
    code = _code(text)
    assert ";" not in code
    assert not re.search(r"[A-Z]", code)


def test_every_statement_that_the_server_loads_has_a_file() -> None:
    assert sorted(_asked_for() - set(NAMES)) == []


def test_every_statement_file_is_used_by_the_server() -> None:
    assert sorted(set(NAMES) - _mentioned()) == []


@pytest.mark.parametrize("name", NAMES)
def test_every_statement_can_be_prepared_against_the_migrated_schema(name: str, connection: Connection) -> None:
    for text in variants(name):
        result = connection.pgconn.prepare(b"", numbered_params(text)[0])
        assert result.status == pq.ExecStatus.COMMAND_OK, result.get_error_message()


@pytest.mark.parametrize("name", [name for name in NAMES if short_statement(name) != statement(name)])
def test_a_short_form_returns_the_first_columns_of_the_full_form(name: str, connection: Connection) -> None:
    whole, short = _columns(statement(name), connection), _columns(short_statement(name), connection)
    assert tuple(whole[-len(Task._fields) :]) == Task._fields
    assert whole[: len(short)] == short
    assert tuple(short[-len(ShortTask._fields) :]) == ShortTask._fields


@pytest.fixture
def connection(database: str) -> Iterator[Connection]:
    """A connection with the session settings of the store."""
    with connect(database) as connection:
        yield connection


def variants(name: str) -> Iterator[str]:
    """Yield the texts of a statement: full and short form, or every order of a list."""
    if "{order}" not in statement(name):
        yield from {statement(name), short_statement(name)}
        return
    for sort in get_args(Sort):
        for direction in get_args(Direction):
            yield ordered(name, sort, direction)


def _columns(text: str, connection: Connection) -> list[str]:
    """Return the names of the columns that a statement returns."""
    connection.pgconn.prepare(b"", numbered_params(text)[0])
    described = connection.pgconn.describe_prepared(b"")
    return [(described.fname(number) or b"").decode() for number in range(described.nfields)]


def _code(text: str) -> str:
    """Return a statement without comments and quoted texts."""
    return re.sub(r"'[^']*'|\"[^\"]*\"", "''", re.sub(r"--.*", "", text))


def _asked_for() -> set[str]:
    """Return the names in calls that load a statement."""
    return {
        name
        for source in modules("server/fencepost")
        for node in ast.walk(source.tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func) in LOADERS
        for name in _texts(node.args[:1])
    }


def _mentioned() -> set[str]:
    """Return the names in the texts of the server, and those composed within a module, as in `f"tasks/{verb}"`."""
    found: set[str] = set()
    for source in modules("server/fencepost"):
        texts = set(_texts([source.tree]))
        found |= texts | {folder + text for folder in texts if folder.endswith("/") for text in texts}
    return found


def _texts(nodes: Iterable[ast.AST]) -> Iterator[str]:
    for node in nodes:
        for part in ast.walk(node):
            if isinstance(part, ast.Constant) and isinstance(part.value, str):
                yield part.value
