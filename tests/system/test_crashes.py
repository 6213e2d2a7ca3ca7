"""kill -9 under load: every acknowledged change is stored, every task is done once, and no task is stuck."""

from __future__ import annotations

import os
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fixtures.processes import Client, Process, is_another_postgres, postgres_pid, serving
from tests.fixtures.protocols import PROTOCOLS
from tests.fixtures.waiting import until
from tests.system.load import DEFINITION, Load

pytestmark = pytest.mark.shows("guarantees/no-change-lost")

KILLS = ["server", "postgres", "both", "server"]
# Tasks to be finished between two kills.
PROGRESS = 60


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that every user can enter: when root runs the tests, Postgres runs as another user."""
    with tempfile.TemporaryDirectory(prefix="fencepost-", ignore_cleanup_errors=True) as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture(params=PROTOCOLS)
def process(folder: Path, request: pytest.FixtureRequest) -> Iterator[Process]:
    """A server with its own Postgres, with fsync on as in production."""
    arguments = ("--data-dir", str(folder / "data"), "--lease-grace", "0.5", "--http", request.param)
    with serving(folder, *arguments) as running:
        with Client(running.port) as client:
            times = {"requestedToStartTimeout": 1000, "inProgressTimeout": 1500, "retryDelay": 100}
            definition = {"kind": "task", "name": DEFINITION, "allowedRetryCount": 1000, **times}
            client.call("awf.definition/put", definition)
        yield running


def test_every_acknowledged_task_is_done_once_when_server_and_postgres_are_killed(
    process: Process, folder: Path
) -> None:
    load = Load(process.port)
    with load.running():
        for victim in KILLS:
            load.until_finished(PROGRESS)
            if victim != "server":
                os.kill(postgres_pid(folder / "data"), signal.SIGKILL)
            if victim != "postgres":
                process.kill()
                process.start()
    load.check()
    assert len(load.created) >= len(KILLS) * PROGRESS
    assert load.retries >= len(KILLS), "the kills interrupted no call"
    assert "Traceback" not in process.said


def test_a_server_restarts_its_killed_postgres_or_exits(process: Process, folder: Path) -> None:
    with Client(process.port) as client:
        client.call("awf.task/create-and-execute", {"definition": DEFINITION, "id": "kept"})
        killed = postgres_pid(folder / "data")
        os.kill(killed, signal.SIGKILL)
        until(lambda: process.status is not None or is_another_postgres(folder / "data", killed), timeout=20)
        if process.status is not None:
            process.start()
        assert client.call("awf.task/status", {"id": "kept"})["resource"]["status"] == "ready"
