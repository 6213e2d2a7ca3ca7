"""A report of sizes: lines per folder, and what is longer than usual here. It fails nothing.

python -m tools.sizes [--new]

With `--new` it prints only what is longer than usual and not in ACCEPTED.
"""

from __future__ import annotations

import ast
import statistics
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("server/fencepost", "executor_sdk/python/fencepost_sdk", "sql/queries", "tools", "bench", "tests")
# Beyond these numbers of lines, ask whether it is one thing.
MODULE, FUNCTION, STATEMENT, TESTS = 300, 45, 100, 500
# The baseline: path, or path::function, of what is one thing and longer, each with the reason.
ACCEPTED: dict[str, str] = {}


class Size(NamedTuple):
    """A file or a function, and how many lines it has and usually has at most."""

    name: str
    lines: int
    usual: int


def sizes() -> Iterator[Size]:
    """Yield every module, test module and statement file, and every function outside of tests."""
    for folder in FOLDERS:
        for file in sorted((ROOT / folder).rglob("*")):
            if file.suffix not in (".py", ".sql") or file.stem.endswith(("_pb2", "_pb2_grpc")):
                continue
            text, name = file.read_text("utf-8"), file.relative_to(ROOT).as_posix()
            usual = STATEMENT if file.suffix == ".sql" else TESTS if folder == "tests" else MODULE
            yield Size(name, text.count("\n"), usual)
            if file.suffix == ".py" and folder != "tests":
                yield from _functions(name, text)


def long_ones() -> list[Size]:
    """Return what is longer than usual, the longest in proportion first."""
    return sorted((one for one in sizes() if one.lines > one.usual), key=lambda one: -one.lines / one.usual)


def by_folder() -> list[tuple[str, int, int, int, Size]]:
    """Return folder, number of files, lines, median of lines and the longest file, for each folder of FOLDERS.

    The folders of the server are counted one by one.
    """
    files: defaultdict[str, list[Size]] = defaultdict(list)
    for one in sizes():
        if "::" not in one.name:
            parts = one.name.split("/")[:-1]
            depth = {"server": 4 if parts[2:3] == ["vocabularies"] else 3, "executor_sdk": 3}.get(parts[0], 2)
            files["/".join(parts[:depth])].append(one)
    return [
        (
            folder,
            len(them),
            sum(one.lines for one in them),
            int(statistics.median(one.lines for one in them)),
            max(them, key=lambda one: one.lines),
        )
        for folder, them in sorted(files.items())
    ]


def main(arguments: list[str]) -> int:
    """Print the report; return the exit status."""
    if arguments not in ([], ["--new"]):
        print("usage: python -m tools.sizes [--new]", file=sys.stderr)
        return 2
    if not arguments:
        print(f"{'folder':<44}{'files':>6}{'lines':>7}{'median':>7}  longest")
        for folder, count, lines, median, longest in by_folder():
            print(f"{folder:<44}{count:>6}{lines:>7}{median:>7}  {longest.lines} {longest.name.rpartition('/')[2]}")
        print()
    for one in long_ones():
        if one.name not in ACCEPTED:
            print(f"{one.name}: {one.lines} lines, more than the usual {one.usual}")
        elif not arguments:
            print(f"{one.name}: {one.lines} lines: {ACCEPTED[one.name]}")
    return 0


def _functions(name: str, text: str) -> Iterator[Size]:
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield Size(f"{name}::{node.name}", (node.end_lineno or node.lineno) - node.lineno + 1, FUNCTION)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
