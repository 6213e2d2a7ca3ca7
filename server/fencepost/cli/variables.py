"""Checks the FENCEPOST_* variables: ignores those of an orchestrator and refuses misspelt settings."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterator, MutableMapping

import click

from fencepost.cli import fencepost
from fencepost.errors import StartRefused

_PREFIX = "FENCEPOST_"
# Kubernetes sets variables with the address of a Service named `fencepost` or `fencepost-grpc`, with the names of our
# settings: FENCEPOST_PORT=tcp://10.0.0.1:8080.
_OF_A_SERVICE = re.compile(r"(?:tcp|udp|sctp)://\S+:\d+")
_NEAR = 0.85


def check_variables(environment: MutableMapping[str, str] = os.environ) -> None:
    """Delete variables of a Kubernetes Service; raises StartRefused for a variable that resembles a setting."""
    ours = [name for name in environment if name.startswith(_PREFIX)]
    for name in [name for name in ours if _OF_A_SERVICE.fullmatch(environment[name])]:
        del environment[name]
        ours.remove(name)
    known = {name.removeprefix(_PREFIX) for name in _known()} if ours else set()
    for name in (name.removeprefix(_PREFIX) for name in ours):
        near = [] if name in known else difflib.get_close_matches(name, known, n=1, cutoff=_NEAR)
        if near:
            raise StartRefused(f"there is no variable {_PREFIX}{name}; did you mean {_PREFIX}{near[0]}?")


def _known() -> Iterator[str]:
    yield from ("FENCEPOST_URL", "FENCEPOST_CLIENT", "FENCEPOST_CLIENT_FILE")
    context = click.Context(fencepost)
    for name in fencepost.list_commands(context):
        command = fencepost.get_command(context, name)
        for param in () if command is None else command.params:
            if isinstance(param.envvar, str):
                yield param.envvar
