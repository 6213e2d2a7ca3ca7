"""The demo's executor, a process of its own: decides about the import, imports files into Postgres, and checks them.

Every batch is keyed and a transaction, so that an attempt may end anywhere and the next one repeats it without harm.
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
    """Where the resources are, and what they are."""

    url: str
    resource_type: str


class Params(msgspec.Struct, rename="camel"):
    """The params of an import."""

    content_encoding: str
    input: Input


class Imported(Params, rename="camel", kw_only=True):
    """A file that has been imported: its name, and how many rows its task has told of."""

    name: str
    rows: int


class Check(msgspec.Struct):
    """The params of a check."""

    files: list[Imported]


@click.command()
@click.option("--url", required=True, help="The server.")
@click.option("--database-url", required=True, help="The database that the rows go to.")
@click.option("--batch", type=click.IntRange(1), default=1000, show_default=True, help="Rows in a transaction.")
@click.option("--concurrency", type=click.IntRange(1), default=2, show_default=True, help="Tasks at once.")
@click.option("--name", help="Shown with the tasks that it runs.")
def main(url: str, database_url: str, batch: int, concurrency: int, name: str | None) -> None:
    """Work on demo/import, the workflow and its tasks, until SIGTERM."""
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
    """Import one file and return how many rows it has."""
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
    """Return how many rows the files have; raise TaskFailed unless the database has every one, as it stands there."""
    sources = [Source(one.name, one.input.url, one.content_encoding, one.input.resource_type) for one in files]
    with Table(database_url) as table:
        counts = table.compare(sources)
    for one, count in zip(files, counts, strict=True):
        if not count.expected == count.present == one.rows:
            message = (
                f"{one.name} has {count.expected} rows, its task told of {one.rows}, "
                f"and the database has {count.present} of them as the file has them"
            )
            raise TaskFailed({"type": "rows-differ", "message": message})
    return sum(count.present for count in counts)


def _batches(rows: Iterator[Row], size: int) -> Iterator[Sequence[Row]]:
    while batch := list(islice(rows, size)):
        yield batch


if __name__ == "__main__":
    main()
