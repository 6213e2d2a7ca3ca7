"""`fencepost migrate`: brings a database to the newest schema without serving."""

from __future__ import annotations

import click


@click.command()
@click.option(
    "--database-url",
    required=True,
    envvar="FENCEPOST_DATABASE_URL",
    show_envvar=True,
    help="Postgres 15 or newer, reached directly or through a pooler in session mode.",
)
def migrate(database_url: str) -> None:
    """Apply the migrations that the database lacks; `serve` does the same when it starts."""
    from fencepost.store import migrations

    for name in migrations.migrate(database_url) or ["nothing to do"]:
        click.echo(name)
