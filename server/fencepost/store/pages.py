"""Pages of what may be much: rows until there are enough, or until what they hold fills an answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fencepost.domain.listing import Portion
from fencepost.store.connection import Connection

Row = tuple[Any, ...]

# Rows that are in memory beyond those that are given back, each with a few payloads of a megabyte at worst.
_AT_ONCE = 20
# The bytes of a row beside its payloads: ids, times, names of members.
_AROUND = 512


def fetch_page(
    connection: Connection, text: str, params: Mapping[str, Any], *, size: int, most_bytes: int
) -> Portion[Row]:
    """Run a list's statement, which takes `size`; return the rows that fit, one at least.

    The statement is planned for its params. A cursor reads no further than the page goes: what would not fit is not
    even looked up where Postgres keeps large values.
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
    """Return about how many bytes a row is in an answer."""
    return _AROUND + sum(len(value) for value in row if value.__class__ in (bytes, str))
