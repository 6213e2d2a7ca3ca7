"""`fencepost check`: replays the history and reports where the database differs from it."""

from __future__ import annotations

import sys

import click
import orjson

from fencepost.cli.database import database_options


@click.command()
@database_options
@click.option("--json", "as_json", is_flag=True, help="Print the differences as JSON, one a line.")
def check(database_url: str, as_json: bool) -> None:
    """Compare every live task with its log, and people tasks with their events; exit with 1 for differences.

    Nothing is changed, and servers may go on meanwhile.
    """
    from fencepost.store.check import check as check_database
    from fencepost.vocabularies.all import ALL

    counts: dict[str, int] = {}
    differences = 0
    for checked in check_database(database_url, [one for vocabulary in ALL for one in vocabulary.checks]):
        counts[checked.noun] = counts.get(checked.noun, 0) + checked.looked_at
        differences += len(checked.differences)
        for found in checked.differences:
            if as_json:
                click.echo(orjson.dumps(found._asdict()).decode())
            else:
                values = f"is {found.kept!r}, but {found.computed!r} in its history"
                click.echo(f"{found.kind} {found.id}: {found.member} {values}")
    if not as_json:
        numbers = " and ".join(f"{count} {noun}" for noun, count in counts.items())
        click.echo(f"{numbers}: {differences} differences")
    sys.exit(1 if differences else 0)
