"""`python -m fencepost` and the command `fencepost`."""

from __future__ import annotations

import io
import os
import sys

import click

from fencepost.cli import fencepost
from fencepost.cli.variables import check_variables
from fencepost.errors import Refusal, StartRefused


def main() -> None:
    """Run the command line; a refusal is one line on stderr and exit status 2."""
    # Texts of others, such as labels, have characters that a terminal of another locale lacks.
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        check_variables()
        fencepost.main(prog_name="fencepost", standalone_mode=False)
    except (StartRefused, Refusal) as refused:
        click.echo(f"fencepost: {refused}", err=True)
        sys.exit(2)
    except BrokenPipeError:
        # The reader of our output, such as `head`, has closed it; the flush at exit must not complain again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except click.exceptions.Abort:
        sys.exit(130)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        sys.exit(error.exit_code)
    except click.ClickException as error:
        path = error.ctx.command_path if isinstance(error, click.UsageError) and error.ctx is not None else "fencepost"
        said = " ".join(error.format_message().split()).rstrip(".")
        click.echo(f"fencepost: {said}; see {path} --help", err=True)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
