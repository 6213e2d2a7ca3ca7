"""Runs the demo: starts a server and executors, runs the import workflow, and stops everything."""

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
from fencepost.demo.imports import ImportWorkflow
from fencepost.demo.server import HOST, serving, usual_port
from fencepost.demo.source import Source
from fencepost.demo.table import conninfo_of
from fencepost.subprocesses import Child
from fencepost_sdk import Client, FencepostError

REFRESH_SECONDS = 0.2
PATIENCE_SECONDS = 2.0
STALL_SECONDS = 60.0
EXECUTOR_STOP_SECONDS = 8.0
SERVER_ENDED = "the server ended before the demo was done"


class DemoFailed(Exception):
    """The demo failed; the message is a full sentence."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The options of a run: imports `files`, or the airports without any; `batch` is the rows per transaction."""

    data_dir: Path
    files: Sequence[Source]
    port: int | None
    keep: bool
    executors: int
    batch: int


def run(plan: Plan) -> None:
    """Run the demo; raises DemoFailed when it fails, and StartRefused when its server cannot start."""
    _end_on_sigterm()
    _bypass_proxy()
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
                click.echo(f"the server keeps running at {url}; stop it with Ctrl-C or `kill {os.getpid()}`")
            click.echo(f"demo: {done.result['tasks']} tasks done, {done.result['rows']} rows imported")
            if plan.keep:
                _keep(server)


def _import(plan: Plan, url: str, server: Child, executors: Sequence[Child]) -> ImportWorkflow:
    """Start the workflow and show its progress until it is done; raises DemoFailed when it fails."""
    sources = plan.files or _airports(plan.data_dir / "demo" / "airports")
    with Client(url, patience=PATIENCE_SECONDS) as client, display() as shown:
        click.echo(f"importing {_counted(len(sources), 'file')} with {_counted(plan.executors, 'executor')}")
        workflow = imports.start(client, sources)
        changed_at, before = time.monotonic(), workflow.versions
        while True:
            imports.refresh(client, workflow)
            shown.show(workflow)
            if workflow.done:
                break
            now = workflow.versions
            changed_at, before = (time.monotonic(), now) if now != before else (changed_at, before)
            _watch(server, executors, changed_at)
            time.sleep(REFRESH_SECONDS)
    if workflow.outcome != "succeeded":
        raise DemoFailed(workflow.reason)
    click.echo(f"checked: all {workflow.result['rows']:,} rows of the files are in demo.resources")
    return workflow


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _airports(folder: Path) -> Sequence[Source]:
    # Imported here, because a run with files does not need the package.
    from fencepost.demo.airports import write_airports

    return write_airports(folder)


def _watch(server: Child, executors: Sequence[Child], changed_at: float) -> None:
    if not server.alive:
        raise DemoFailed(SERVER_ENDED)
    if not any(one.alive for one in executors):
        raise DemoFailed("every executor ended before the import was done")
    if time.monotonic() - changed_at > STALL_SECONDS:
        raise DemoFailed(f"the import has made no progress for {STALL_SECONDS:g} seconds")


@contextmanager
def executing(plan: Plan, server: Child, url: str, database: str) -> Iterator[list[Child]]:
    """Start the executors, and stop them at the end of the block."""
    arguments = ["--url", url, "--database-url", database, "--batch", str(plan.batch)]
    executors: list[Child] = []
    try:
        for number in range(1, plan.executors + 1):
            named = [*arguments, "--name", f"demo-{number}"]
            # An orphaned executor is killed: its tasks time out and are retried.
            executors.append(Child("fencepost.demo.executor", named, orphaned=signal.SIGKILL, output=None))
        yield executors
    finally:
        # Without a server they could not release their tasks and would retry until they are killed.
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


def _bypass_proxy() -> None:
    """Add this machine to `no_proxy`: a proxy could not reach it."""
    if not urllib.request.proxy_bypass(HOST):
        exceptions = [urllib.request.getproxies().get("no"), HOST]
        os.environ["no_proxy"] = ",".join(filter(None, exceptions))
