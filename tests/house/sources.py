"""The source files that the house tests check, each read once."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
QUERIES = ROOT / "sql" / "queries"
DOCS = ROOT / "docs"


@dataclass(frozen=True)
class Source:
    """A Python module: its path from the top of the repository, its text, and its syntax tree."""

    path: str
    text: str

    @cached_property
    def tree(self) -> ast.Module:
        """The syntax tree, parsed when a rule needs it."""
        return ast.parse(self.text)


class Use(NamedTuple):
    """A place in a module, and the function around it (nothing at the top of the module)."""

    path: str
    line: int
    function: str


@cache
def modules(*folders: str) -> tuple[Source, ...]:
    """Return the modules below folders of the repository."""
    files = sorted(file for folder in folders for file in (ROOT / folder).rglob("*.py") if not _is_generated(file))
    return tuple(_source(file) for file in files)


def server() -> tuple[Source, ...]:
    """Return the modules of the server."""
    return modules("server")


def shipped() -> tuple[Source, ...]:
    """Return the modules of both distributions."""
    return modules("server", "executor_sdk/python/fencepost_sdk")


def uses(source: Source, *names: str) -> Iterator[Use]:
    """Yield the places in which a module uses one of `names`, such as `time.sleep`."""
    if not any(name in source.text for name in names):
        return
    for node, function in _within(source.tree, ""):
        if isinstance(node, ast.Attribute | ast.Name) and ast.unparse(node) in names:
            yield Use(source.path, node.lineno, function)


def table_words(page: str) -> set[str]:
    """Return the words in code format in the first two cells of the table rows of a page."""
    rows = re.findall(r"^\|([^|]*)\|([^|]*)\|", (DOCS / page).read_text("utf-8"), re.MULTILINE)
    return {word for row in rows for cell in row for word in re.findall(r"`([^`]+)`", cell)}


def _is_generated(file: Path) -> bool:
    """Return whether the protobuf compiler generated the file (tools/protobuf.py)."""
    return file.stem.endswith(("_pb2", "_pb2_grpc"))


def _source(file: Path) -> Source:
    text = file.read_text("utf-8")
    return Source(file.relative_to(ROOT).as_posix(), text)


def _within(node: ast.AST, function: str) -> Iterator[tuple[ast.AST, str]]:
    for child in ast.iter_child_nodes(node):
        yield child, function
        named = child.name if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef) else function
        yield from _within(child, named)
