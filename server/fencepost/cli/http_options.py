"""The options of `fencepost serve` for limits on HTTP clients, and their settings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import click

from fencepost.settings import Connections, Limits

F = TypeVar("F", bound=Callable[..., Any])


def http_options(command: F) -> F:
    """Add the options to a command."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def connections_of(options: Mapping[str, Any]) -> Connections:
    """Return the settings for limits on connections."""
    return Connections(
        head_bytes=options["max_head"],
        head_seconds=options["head_timeout"],
        body_seconds=options["body_timeout"],
        most=options["max_connections"],
    )


def limits_of(options: Mapping[str, Any]) -> Limits:
    """Return the settings for limits on requests and answers."""
    return Limits(
        body_bytes=options["max_body"],
        answer_bytes=options["max_answer"],
        batch=options["max_batch"],
        poll=options["max_poll"],
        wait_seconds=options["max_wait"],
        depth=options["max_depth"],
        bodies_bytes=options["max_bodies"],
        waiting=options["max_waiting"],
    )


def _option(flag: str, **attributes: Any) -> Callable[[F], F]:
    variable = f"FENCEPOST_{flag.removeprefix('--').replace('-', '_').upper()}"
    return click.option(flag, envvar=variable, show_envvar=True, **attributes)


_OPTIONS: tuple[Callable[[Any], Any], ...] = (
    _option(
        "--http",
        default="lean",
        show_default=True,
        type=click.Choice(["lean", "uvicorn"]),
        help="Protocol class of connections: lean answers plain calls without an HTTP parser, uvicorn parses all.",
    ),
    _option(
        "--max-body",
        default=1 << 20,
        show_default=True,
        type=click.IntRange(1024, 1 << 30),
        help="Maximum bytes of a request's body.",
    ),
    _option(
        "--allowed-host",
        multiple=True,
        metavar="NAME",
        help="A host name of the server for its clients, with or without a port; repeat it for several.",
    ),
    _option(
        "--max-head",
        default=1 << 16,
        show_default=True,
        type=click.IntRange(1024, 1 << 20),
        help="Maximum bytes of a request's line and headers.",
    ),
    _option(
        "--head-timeout",
        default=20.0,
        show_default=True,
        type=click.FloatRange(0.1, 3600),
        help="Seconds in which the line and headers of a request must arrive.",
    ),
    _option(
        "--body-timeout",
        default=30.0,
        show_default=True,
        type=click.FloatRange(0.1, 3600),
        help="Seconds in which a body must arrive; a body that arrives at 8 KiB a second or faster has longer.",
    ),
    _option(
        "--max-bodies",
        default=1 << 26,
        show_default=True,
        type=click.IntRange(1024, 1 << 36),
        help="Maximum bytes of the bodies of all requests in progress; further requests are answered 503.",
    ),
    _option(
        "--max-connections",
        type=click.IntRange(1, 1_000_000),
        help="Maximum client connections, for each worker process; by default as many as descriptors allow.",
    ),
    _option(
        "--max-answer",
        default=8 << 20,
        show_default=True,
        type=click.IntRange(1024, 1 << 30),
        help="Maximum bytes of an answer: a poll returns fewer tasks, a list a shorter page.",
    ),
    _option(
        "--max-batch",
        default=1000,
        show_default=True,
        type=click.IntRange(1, 100_000),
        help="Maximum calls in one array.",
    ),
    _option(
        "--max-poll",
        default=1000,
        show_default=True,
        type=click.IntRange(1, 100_000),
        help="Maximum tasks for one poll.",
    ),
    _option(
        "--max-wait",
        default=600.0,
        show_default=True,
        type=click.FloatRange(0, 86_400),
        help="Maximum seconds that a long poll may wait.",
    ),
    _option(
        "--max-depth",
        default=64,
        show_default=True,
        type=click.IntRange(8, 254),
        help="Maximum nesting of a body.",
    ),
    _option(
        "--max-waiting",
        default=20_000,
        show_default=True,
        type=click.IntRange(1, 1_000_000),
        help="Calls of one kind that may wait for the database; further calls are answered 503.",
    ),
)
