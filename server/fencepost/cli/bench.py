"""`fencepost bench`: the benchmark, which lies in the `bench` folder of a checkout and not in the wheel."""

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
    """Measure this server beside other queues on Postgres; `fencepost bench --help` tells with which options.

    It needs a checkout of the repository: `make bench` there installs what it is measured beside.
    """
    checkout = find_checkout()
    # -P: the current folder has no say in what is imported. The benchmark takes the place of this process.
    environment = {**os.environ, "PYTHONPATH": str(checkout)}
    os.execve(sys.executable, [sys.executable, "-P", "-m", "bench", *arguments], environment)  # noqa: S606


def find_checkout() -> Path:
    """Return the folder that holds this file's checkout or is one; raise StartRefused when there is none."""
    for folder in (Path(__file__).resolve().parents[3], Path.cwd()):
        if (folder / "bench" / "__main__.py").is_file() and (folder / "server" / "fencepost").is_dir():
            return folder
    raise StartRefused(
        "the benchmark is not part of the installed package: get the repository's checkout and run `make bench` or "
        "`fencepost bench` in it"
    )
