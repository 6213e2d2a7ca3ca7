"""`fencepost bench`: runs the benchmark, which is in the `bench` folder of a checkout and not in the wheel."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from fencepost.errors import StartRefused

_SETTINGS = {"ignore_unknown_options": True, "help_option_names": []}


@click.command(context_settings=_SETTINGS)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def bench(arguments: tuple[str, ...]) -> None:
    """Measure this server and other queues on Postgres; `fencepost bench --help` lists the options.

    It needs a checkout of the repository: `make bench` there installs the other queues.
    """
    checkout = find_checkout()
    # -P: nothing is imported from the current folder. The benchmark replaces this process.
    environment = {**os.environ, "PYTHONPATH": str(checkout)}
    os.execve(sys.executable, [sys.executable, "-P", "-m", "bench", *arguments], environment)  # noqa: S606


def find_checkout() -> Path:
    """Return the checkout of this file, or the current folder if it is one; raises StartRefused without either."""
    for folder in (Path(__file__).resolve().parents[3], Path.cwd()):
        if (folder / "bench" / "__main__.py").is_file() and (folder / "server" / "fencepost").is_dir():
            return folder
    raise StartRefused(
        "the benchmark is not part of the installed package: get the repository's checkout and run `make bench` or "
        "`fencepost bench` in it"
    )
