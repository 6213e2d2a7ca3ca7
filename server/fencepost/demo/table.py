"""The table `demo.resources` for the imported rows.

The executor of the demo keeps its data in Postgres, as an ordinary client of the database. It is not part of the
server's store, so that it may import psycopg, which other modules of the server may not.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple, Self

import psycopg
from psycopg.conninfo import make_conninfo

from fencepost.demo.rows import BadInput, Row, read_rows
from fencepost.demo.source import Source
from fencepost.store.embedded.folder import PORT, DataFolder


class Count(NamedTuple):
    """The number of rows in a file, and the number of them that the database has unchanged."""

    expected: int
    present: int


def conninfo_of(data_dir: Path) -> str:
    """Return the conninfo of the Postgres that a running server has in `data_dir`."""
    sockets = DataFolder(data_dir).run.resolve()
    return make_conninfo("", host=str(sockets), port=PORT, user="postgres", dbname="postgres")


class Table:
    """The table, over a connection in autocommit mode."""

    def __init__(self, conninfo: str) -> None:
        self._connection = psycopg.connect(conninfo, autocommit=True, application_name="fencepost demo")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._connection.close()

    def make(self) -> None:
        """Create the table if it does not exist."""
        self._connection.execute(_sql("make"))

    def load(self, url: str, rows: Sequence[Row]) -> None:
        """Load rows of the file at `url` in one transaction; raises BadInput for a row that Postgres refuses."""
        latest = {(row.resource_type, row.id): row for row in rows}.values()
        batch = {
            "resource_types": [row.resource_type for row in latest],
            "ids": [row.id for row in latest],
            "resources": [row.text for row in latest],
        }
        try:
            self._connection.execute(_sql("load"), batch)
        except psycopg.DataError:
            # jsonb refuses some valid JSON, such as U+0000, and the error does not name the row.
            for row in rows:
                self._try(url, row)
            raise

    def _try(self, url: str, row: Row) -> None:
        values = {"resource_type": row.resource_type, "id": row.id, "resource": row.text}
        try:
            self._connection.execute(_sql("try"), values)
        except psycopg.DataError as error:
            raise BadInput(url, f"Postgres refuses it: {str(error).splitlines()[0]}", row.number) from error

    def compare(self, sources: Iterable[Source]) -> list[Count]:
        """Read the files again and count their rows in the database; raises BadInput for an unreadable file."""
        cursor = self._connection.cursor()
        cursor.execute(_sql("expect"))
        counts: list[Count] = []
        with cursor.copy("copy expected (file, resource_type, id, resource) from stdin") as copy:
            for file, source in enumerate(sources):
                counts.append(Count(0, 0))
                for row in read_rows(source.url, source.encoding, source.resource_type):
                    copy.write_row((file, row.resource_type, row.id, row.text))
        for file, expected, present in cursor.execute(_sql("compare")):
            counts[file] = Count(expected, present)
        return counts


def _sql(name: str) -> bytes:
    return files("fencepost.demo").joinpath(f"sql/{name}.sql").read_bytes()
