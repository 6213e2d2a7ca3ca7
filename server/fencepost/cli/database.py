"""The options for databases, with their addresses and the files for these."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path

import click

from fencepost.errors import StartRefused
from fencepost.settings import read_secret

_OF_A_SERVER = (
    click.option(
        "--database-url",
        help="Address of a Postgres 15 or newer; without it the server starts an embedded one in --data-dir.",
        envvar="FENCEPOST_DATABASE_URL",
        show_envvar=True,
    ),
    click.option(
        "--database-url-file",
        type=click.Path(path_type=Path),
        help="File with the address for --database-url, on one line.",
        envvar="FENCEPOST_DATABASE_URL_FILE",
        show_envvar=True,
    ),
    click.option(
        "--run-sql-url",
        help="Postgres for tasks that run SQL, with a role that only reads; without it such tasks fail.",
        envvar="FENCEPOST_RUN_SQL_URL",
        show_envvar=True,
    ),
    click.option(
        "--run-sql-url-file",
        type=click.Path(path_type=Path),
        help="File with the address for --run-sql-url, on one line.",
        envvar="FENCEPOST_RUN_SQL_URL_FILE",
        show_envvar=True,
    ),
    click.option(
        "--run-sql-timeout",
        default=30.0,
        show_default=True,
        type=click.FloatRange(0.001, 86_400),
        help="Seconds that the SQL of a task may run.",
        envvar="FENCEPOST_RUN_SQL_TIMEOUT",
        show_envvar=True,
    ),
)


def database_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options for a database to a command, which gets `database_url`; raises StartRefused without one."""

    @click.option(
        "--database-url",
        envvar="FENCEPOST_DATABASE_URL",
        show_envvar=True,
        help="Postgres 15 or newer, reached directly or through a pooler in session mode.",
    )
    @click.option(
        "--database-url-file",
        type=click.Path(path_type=Path),
        envvar="FENCEPOST_DATABASE_URL_FILE",
        show_envvar=True,
        help="File with the address; keeps it out of the list of processes.",
    )
    @functools.wraps(command)
    def with_database(database_url: str | None, database_url_file: Path | None, **options: object) -> None:
        url = read_secret(database_url, database_url_file, "--database-url")
        if url is None:
            raise StartRefused("give the database with --database-url or --database-url-file")
        command(database_url=url, **options)

    return with_database


def server_database_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options of `serve` for its database and for the database of SQL tasks."""
    for option in reversed(_OF_A_SERVER):
        command = option(command)
    return command
