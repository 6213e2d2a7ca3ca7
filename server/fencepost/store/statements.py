"""The SQL statements, each read once from its own file under sql/queries/."""

from __future__ import annotations

from functools import cache

from fencepost.store.files import data_folder


@cache
def statement(name: str) -> str:
    """Return the text of a statement, named as its file is: `tasks/claim`."""
    return (data_folder("sql") / "queries" / f"{name}.sql").read_text("utf-8")
