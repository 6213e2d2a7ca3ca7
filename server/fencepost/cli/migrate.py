"""`fencepost migrate`: migrates a database to the newest schema without serving."""

from __future__ import annotations

import click

from fencepost.cli.database import database_options


@click.command()
@database_options
def migrate(database_url: str) -> None:
    """Apply the pending migrations of a database; `serve` does the same when it starts."""
    from fencepost.store import migrations

    for name in migrations.migrate(database_url) or ["nothing to do"]:
        click.echo(name)
