"""`python -m fencepost` and the command `fencepost`."""

from __future__ import annotations

import sys

import click

from fencepost.cli import fencepost
from fencepost.errors import StartRefused


def main() -> None:
    """Run the command line; a refusal is one line on stderr and exit status 2."""
    try:
        fencepost.main(prog_name="fencepost", standalone_mode=False)
    except StartRefused as refused:
        click.echo(f"fencepost: {refused}", err=True)
        sys.exit(2)
    except click.exceptions.Abort:
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
