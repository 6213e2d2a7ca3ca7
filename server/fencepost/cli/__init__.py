"""The command line. Each command has its own module, which is imported when the command runs."""

from __future__ import annotations

import importlib

import click

_COMMANDS = {
    "apply": "apply",
    "bench": "bench",
    "check": "check",
    "demo": "demo",
    "migrate": "migrate",
    "serve": "serve",
    "workflow": "workflow",
}


class _Commands(click.Group):
    """Imports a command from its module when it is needed, so that no other command is imported."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module = importlib.import_module(f"fencepost.cli.{_COMMANDS[cmd_name]}")
        command: click.Command = getattr(module, cmd_name)
        return command


@click.group(cls=_Commands, context_settings={"auto_envvar_prefix": "FENCEPOST", "max_content_width": 110})
@click.version_option(package_name="fencepost")
def fencepost() -> None:
    """An RPC task queue and workflow server on Postgres."""
