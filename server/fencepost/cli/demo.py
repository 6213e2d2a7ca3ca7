"""`fencepost demo`: imports real data with a server and executors."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

import click

from fencepost.errors import StartRefused

_NEEDED = {"fencepost_sdk": "fencepost-sdk", "airportsdata": "airportsdata"}


@click.command()
@click.argument("files", nargs=-1, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--keep", is_flag=True, help="Keep the server and its workers running after the import.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    help="Port of the server.  [default: a free one; with --keep 8080, if that is free]",
)
@click.option(
    "--data-dir",
    type=click.Path(path_type=Path, file_okay=False),
    # Not the default of `serve`, so that both can run at once and the rows of the demo stay apart.
    default=Path(".fencepost-demo"),
    show_default=True,
    envvar="FENCEPOST_DEMO_DATA_DIR",
    show_envvar=True,
    help="Folder of the demo's own Postgres; it may have been used before.",
)
@click.option("--executors", type=click.IntRange(1, 64), default=2, show_default=True, help="Worker processes.")
@click.option(
    "--batch", type=click.IntRange(1, 100_000), default=1000, show_default=True, help="Rows in one transaction."
)
def demo(files: tuple[Path, ...], keep: bool, port: int | None, data_dir: Path, executors: int, batch: int) -> None:
    """Start a server and executors and import real data: the airports of the world, or FILES of your own.

    FILES are .ndjson or .ndjson.gz. A row that is there already stays as it is, so a second run changes nothing.
    """
    _check_installed("fencepost_sdk" if files else "airportsdata", "fencepost_sdk")
    from fencepost.demo.run import DemoFailed, Plan, run
    from fencepost.demo.source import source_of

    try:
        sources, folder = [source_of(path) for path in files], data_dir.absolute()
    except OSError as error:
        raise StartRefused(f"the data folder {data_dir} cannot be used: {error}") from None
    try:
        run(Plan(folder, sources, port, keep, executors, batch))
    except DemoFailed as failed:
        click.echo(f"fencepost: {failed}", err=True)
        sys.exit(1)


def _check_installed(*modules: str) -> None:
    missing = sorted({_NEEDED[module] for module in modules if find_spec(module) is None})
    if missing:
        raise StartRefused(
            f'the demo needs {" and ".join(missing)}, not installed here; pip install "fencepost[demo]" brings what it '
            "needs."
        )
