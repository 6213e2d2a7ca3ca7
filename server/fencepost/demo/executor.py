"""The demo's executor, a process of its own: imports NDJSON files into Postgres.

Every batch is keyed and a transaction, so that an attempt may end anywhere and the next one repeats it without harm.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from datetime import timedelta
from itertools import islice

import click
import msgspec

from fencepost.demo.definition import DOCUMENT, NAME
from fencepost.demo.rows import BadInput, Row, count_rows, read_rows
from fencepost.demo.table import Table
from fencepost_sdk import Client, Context, TaskFailed, Worker


class Input(msgspec.Struct, rename="camel"):
    """Where the resources are, and what they are."""

    url: str
    resource_type: str


class Params(msgspec.Struct, rename="camel"):
    """The params of a task."""

    content_encoding: str
    input: Input


@click.command()
@click.option("--url", required=True, help="The server.")
@click.option("--database-url", required=True, help="The database that the rows go to.")
@click.option("--batch", type=click.IntRange(1), default=1000, show_default=True, help="Rows in a transaction.")
@click.option("--concurrency", type=click.IntRange(1), default=2, show_default=True, help="Tasks at once.")
@click.option("--name", help="Shown with the tasks that it runs.")
def main(url: str, database_url: str, batch: int, concurrency: int, name: str | None) -> None:
    """Run tasks of aidbox.bulk/import-resource-task until SIGTERM."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s")
    with Client(url) as client:
        client.define(DOCUMENT)
    with Table(database_url) as table:
        table.make()
    worker = Worker(url, concurrency=concurrency, name=name, drain_timeout=timedelta(seconds=5))

    @worker.task(NAME)
    def import_resources(params: Params, ctx: Context) -> dict[str, int]:
        try:
            return {"imported-resources": load(params, ctx, database_url, batch)}
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


def _batches(rows: Iterator[Row], size: int) -> Iterator[Sequence[Row]]:
    while batch := list(islice(rows, size)):
        yield batch


if __name__ == "__main__":
    main()
