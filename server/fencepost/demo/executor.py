"""The executor of the demo, a separate process: decides, imports files into Postgres, and checks them.

Each batch is one transaction with keyed rows. So an attempt may end anywhere, and the next one is idempotent.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from datetime import timedelta
from itertools import islice

import click
import msgspec

from fencepost.demo.decider import decide
from fencepost.demo.definition import CHECK, DOCUMENTS, IMPORT, WORKFLOW
from fencepost.demo.rows import BadInput, Row, count_rows, read_rows
from fencepost.demo.source import Source
from fencepost.demo.table import Table
from fencepost_sdk import Client, Context, TaskFailed, Worker


class Input(msgspec.Struct, rename="camel"):
    """The URL of the resources and their type."""

    url: str
    resource_type: str


class Params(msgspec.Struct, rename="camel"):
    """The params of an import task."""

    content_encoding: str
    input: Input


class Imported(Params, rename="camel", kw_only=True):
    """An imported file: its name, and the number of rows that its task reported."""

    name: str
    rows: int


class Check(msgspec.Struct):
    """The params of a check task."""

    files: list[Imported]


@click.command()
@click.option("--url", required=True, help="URL of the server.")
@click.option("--database-url", required=True, help="Database for the rows.")
@click.option("--batch", type=click.IntRange(1), default=1000, show_default=True, help="Rows in one transaction.")
@click.option("--concurrency", type=click.IntRange(1), default=2, show_default=True, help="Tasks that run at once.")
@click.option("--name", help="Worker name that is shown with its tasks.")
def main(url: str, database_url: str, batch: int, concurrency: int, name: str | None) -> None:
    """Run the decisions and tasks of demo/import until SIGTERM."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s")
    with Client(url) as client:
        for document in DOCUMENTS:
            client.define(document)
    with Table(database_url) as table:
        table.make()
    worker = Worker(url, concurrency=concurrency, name=name, drain_timeout=timedelta(seconds=5))

    worker.workflow(WORKFLOW)(decide)

    @worker.task(IMPORT)
    def import_resources(params: Params, ctx: Context) -> dict[str, int]:
        try:
            return {"imported-resources": load(params, ctx, database_url, batch)}
        except BadInput as bad:
            raise TaskFailed({"type": "bad-input", "message": str(bad), "line": bad.line}) from bad

    @worker.task(CHECK)
    def check(params: Check) -> dict[str, int]:
        try:
            return {"rows": compare(params.files, database_url)}
        except BadInput as bad:
            raise TaskFailed({"type": "bad-input", "message": str(bad), "line": bad.line}) from bad

    worker.run()


def load(params: Params, ctx: Context, database_url: str, batch: int) -> int:
    """Import one file and return the number of its rows; raises BadInput."""
    url, done = params.input.url, 0
    total = count_rows(url, params.content_encoding)
    ctx.progress(done, total, "rows")
    with Table(database_url) as table:
        for rows in _batches(read_rows(url, params.content_encoding, params.input.resource_type), batch):
            ctx.check()
            table.load(url, rows)
            done += len(rows)
            ctx.progress(done, total, "rows")
    return done


def compare(files: Sequence[Imported], database_url: str) -> int:
    """Return the number of rows in the files; raises TaskFailed unless the database has each of them, unchanged."""
    sources = [Source(one.name, one.input.url, one.content_encoding, one.input.resource_type) for one in files]
    with Table(database_url) as table:
        counts = table.compare(sources)
    for one, count in zip(files, counts, strict=True):
        if not count.expected == count.present == one.rows:
            message = (
                f"{one.name} has {count.expected} rows, its task reported {one.rows}, "
                f"and the database has {count.present} of them unchanged"
            )
            raise TaskFailed({"type": "rows-differ", "message": message})
    return sum(count.present for count in counts)


def _batches(rows: Iterator[Row], size: int) -> Iterator[Sequence[Row]]:
    while batch := list(islice(rows, size)):
        yield batch


if __name__ == "__main__":
    main()
