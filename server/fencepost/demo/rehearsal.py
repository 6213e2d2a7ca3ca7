"""The whole demo: a server, executors, a workflow that imports and checks, and the way back."""

from __future__ import annotations

import os
import signal
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import click

from fencepost import subprocesses
from fencepost.demo import imports
from fencepost.demo.display import display
from fencepost.demo.imports import Whole
from fencepost.demo.server import HOST, serving, usual_port
from fencepost.demo.source import Source
from fencepost.demo.table import conninfo_of
from fencepost.subprocesses import Child
from fencepost_sdk import Client, FencepostError

REFRESH_SECONDS = 0.2
PATIENCE_SECONDS = 2.0
STALL_SECONDS = 60.0
EXECUTOR_STOP_SECONDS = 8.0
SERVER_ENDED = "the server ended before the demo did"


class DemoFailed(Exception):
    """The demo did not end well; its text is a full sentence."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do: import `files`, or the airports when there are none, with so many executors, so many rows a batch."""

    data_dir: Path
    files: Sequence[Source]
    port: int | None
    keep: bool
    executors: int
    batch: int


def rehearse(plan: Plan) -> None:
    """Run the demo; raise DemoFailed when it does not end well, StartRefused when its server cannot start."""
    _end_on_sigterm()
    _reach_ourselves()
    port = plan.port if plan.port is not None else usual_port() if plan.keep else 0
    click.echo(f"starting a server with its own Postgres in {plan.data_dir}")
    with serving(plan.data_dir, port) as (server, url):
        database = conninfo_of(plan.data_dir)
        with executing(plan, server, url, database) as executors:
            try:
                done = _import(plan, url, server, executors)
            except FencepostError as error:
                raise DemoFailed(str(error) if server.alive else SERVER_ENDED) from error
            if plan.keep:
                click.echo(f"the server stays at {url}; stop it with Ctrl-C or `kill {os.getpid()}`")
            click.echo(f"demo: {done.result['tasks']} tasks done, {done.result['rows']} rows imported")
            if plan.keep:
                _keep(server)


def _import(plan: Plan, url: str, server: Child, executors: Sequence[Child]) -> Whole:
    """Begin the workflow and show how it stands until it is done; raise DemoFailed when it did not succeed."""
    sources = plan.files or _airports(plan.data_dir / "demo" / "airports")
    with Client(url, patience=PATIENCE_SECONDS) as client, display() as shown:
        click.echo(f"importing {_counted(len(sources), 'file')} with {_counted(plan.executors, 'executor')}")
        whole = imports.begin(client, sources)
        moved_at, before = time.monotonic(), whole.moved
        while True:
            imports.look(client, whole)
            shown.show(whole)
            if whole.done:
                break
            now = whole.moved
            moved_at, before = (time.monotonic(), now) if now != before else (moved_at, before)
            _watch(server, executors, moved_at)
            time.sleep(REFRESH_SECONDS)
    if whole.outcome != "succeeded":
        raise DemoFailed(whole.reason)
    click.echo(f"checked: all {whole.result['rows']:,} rows of the files are in demo.resources")
    return whole


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _airports(folder: Path) -> Sequence[Source]:
    # Only here: the package is needed only by who brings no files.
    from fencepost.demo.airports import write_airports

    return write_airports(folder)


def _watch(server: Child, executors: Sequence[Child], moved_at: float) -> None:
    if not server.alive:
        raise DemoFailed(SERVER_ENDED)
    if not any(one.alive for one in executors):
        raise DemoFailed("every executor ended before the import did")
    if time.monotonic() - moved_at > STALL_SECONDS:
        raise DemoFailed(f"nothing has moved for {STALL_SECONDS:g} seconds")


@contextmanager
def executing(plan: Plan, server: Child, url: str, database: str) -> Iterator[list[Child]]:
    """Start the executors; stop them when the block ends."""
    arguments = ["--url", url, "--database-url", database, "--batch", str(plan.batch)]
    executors: list[Child] = []
    try:
        for number in range(1, plan.executors + 1):
            named = [*arguments, "--name", f"demo-{number}"]
            # Orphaned it ends at once: nothing is lost by that.
            executors.append(Child("fencepost.demo.executor", named, orphaned=signal.SIGKILL, output=None))
        yield executors
    finally:
        # Without a server there is nobody to hand tasks back to, and they would try until they are killed.
        subprocesses.stop(executors, EXECUTOR_STOP_SECONDS if server.alive else 0.0)


def _keep(server: Child) -> None:
    try:
        server.wait()
    except (KeyboardInterrupt, SystemExit):
        return
    raise DemoFailed(SERVER_ENDED)


def _end_on_sigterm() -> None:
    def end(number: int, frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    signal.signal(signal.SIGTERM, end)


def _reach_ourselves() -> None:
    """Speak to this machine directly where the environment names a proxy, which could not reach it."""
    if not urllib.request.proxy_bypass(HOST):
        exceptions = [urllib.request.getproxies().get("no"), HOST]
        os.environ["no_proxy"] = ",".join(filter(None, exceptions))
