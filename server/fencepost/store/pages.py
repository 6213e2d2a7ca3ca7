"""Pages of lists: rows up to a number, or up to the size of an answer in bytes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fencepost.domain.listing import Portion
from fencepost.store.connection import Connection

Row = tuple[Any, ...]

# Rows in memory beyond those of the page, each with a few payloads of a megabyte at worst.
_AT_ONCE = 20
# The bytes of a row without its payloads: ids, times, names of members.
_AROUND = 512


def fetch_page(
    connection: Connection, text: str, params: Mapping[str, Any], *, size: int, most_bytes: int
) -> Portion[Row]:
    """Run a list's statement, which takes `size`; return the rows that fit, at least one.

    The statement is planned for its params. A cursor stops at the end of the page, so that large values of further rows
    are not even fetched from TOAST tables.
    """
    rows: list[Row] = []
    taken = 0
    with connection.transaction(), connection.cursor("page", scrollable=False) as cursor:
        cursor.execute(text, {**params, "size": size + 1})
        while some := cursor.fetchmany(min(_AT_ONCE, size + 1 - len(rows))):
            for row in some:
                if len(rows) == size or taken >= most_bytes:
                    return Portion(rows, more=True)
                rows.append(row)
                taken += size_of(row)
            if len(rows) > size:
                break
    return Portion(rows, more=False)


def size_of(row: Row) -> int:
    """Return the approximate size of a row in an answer, in bytes."""
    return _AROUND + sum(len(value) for value in row if value.__class__ in (bytes, str))
