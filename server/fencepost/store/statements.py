"""The SQL statements, each from its own file under sql/queries/.

All of them are read together when the first is asked for: a server must not mix statements of two versions when its
files are replaced while it runs, and must not need a file descriptor when it has none left.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from fencepost.domain.listing import Direction, Sort
from fencepost.domain.task import ShortTask
from fencepost.store.files import data_folder

# The end of a statement that has a short form: its clause `resource` computes the columns of the resource row.
_WHOLE = "select *\nfrom resource\n"
_SHORT = f"select {{before}}, {', '.join(ShortTask._fields)}\nfrom resource\n"
# What the form of a claim with texts leaves out: the columns of the leased rows, and the clause that reads them.
_ROWS = " end as text,\n        l.*\n"
_NO_ROWS = " end as text\n"
_LEASES = ",\nleases as ("
_TEXTS = "\nselect *\nfrom texts\n"
# The columns before the resource: the number of the call, and of a new task when it becomes ready.
_BEFORE = {"tasks/create": "call, due_in"}


@cache
def statements() -> Mapping[str, str]:
    """Return the text of every statement, by name."""
    folder = data_folder("sql") / "queries"
    return {
        file.relative_to(folder).with_suffix("").as_posix(): file.read_text("utf-8") for file in folder.rglob("*.sql")
    }


def statement(name: str) -> str:
    """Return the text of a statement by the path of its file, such as `tasks/claim`; raise KeyError without one."""
    return statements()[name]


@cache
def short_statement(name: str) -> str:
    """Return a statement with only the columns of a ShortTask in its result.

    A statement that does not end in `select * from resource` has no short form: its text is returned as it is.
    """
    text = statement(name)
    if not text.endswith(_WHOLE):
        return text
    return text.removesuffix(_WHOLE) + _SHORT.format(before=_BEFORE.get(name, "call"))


@cache
def text_statement(name: str) -> str:
    """Return a claim whose result is its clause `texts`; it does not carry the leased rows along."""
    before_leases, _, _ = statement(name).replace(_ROWS, _NO_ROWS).partition(_LEASES)
    return before_leases + _TEXTS


def ordered(name: str, sort: Sort, direction: Direction) -> str:
    """Return the text of a list's statement for one order: its words in braces are filled in."""
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
