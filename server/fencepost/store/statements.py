"""The SQL statements, each from its own file under sql/queries/.

All of them are read together, when the first is asked for: a server that runs while its files are replaced by those of
another version must not mix the two, nor need a descriptor when it has none left.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from fencepost.domain.listing import Direction, Sort
from fencepost.store.files import data_folder

_REST = "-- The rest of the resource."


@cache
def statements() -> Mapping[str, str]:
    """Return the text of every statement by its name."""
    folder = data_folder("sql") / "queries"
    return {
        file.relative_to(folder).with_suffix("").as_posix(): file.read_text("utf-8") for file in folder.rglob("*.sql")
    }


def statement(name: str) -> str:
    """Return the text of a statement, named as its file is: `tasks/claim`."""
    return statements()[name]


@cache
def short_statement(name: str) -> str:
    """Return the same statement with what its result has up to "the rest of the resource"; whole where nothing has."""
    head, marked, rest = statement(name).partition(_REST)
    if not marked:
        return head
    return head.rstrip().removesuffix(",") + rest[rest.index("\nfrom ") :]


def ordered(name: str, sort: Sort, direction: Direction) -> str:
    """Return the text of a list's statement for an order."""
    columns = {
        "created_at": {"r.seq": "%(position_seq)s::bigint"},
        "updated_at": {"r.updated_at": "%(position)s::timestamptz", "r.seq": "%(position_seq)s::bigint"},
    }[sort]
    filled = {
        "{key}": ", ".join(columns),
        "{position}": ", ".join(columns.values()),
        "{beyond}": {"asc": ">", "desc": "<"}[direction],
        "{order}": ", ".join(f"{column} {direction}" for column in columns),
    }
    text = statement(name)
    for word, filling in filled.items():
        text = text.replace(word, filling)
    return text
