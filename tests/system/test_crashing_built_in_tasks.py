"""A built-in task that crashes its server takes other tasks with it only once; then it runs alone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from tests.fixtures.servers import running_server
from tests.fixtures.waiting import until
from tests.system.crashing_built_in_tasks import DEFINITION

pytestmark = pytest.mark.shows("guarantees/deadly-task-alone")

ROOT = Path(__file__).parents[2]
ATTEMPTS = 4
GOOD = ["a", "b", "c"]


def test_a_built_in_task_that_crashed_its_server_runs_alone_afterwards(new_database: str, tmp_path: Path) -> None:
    file = tmp_path / "deaths"
    file.touch()
    with running_server(new_database) as server:
        server.define(DEFINITION, inProgressTimeout=400, retryDelay=10, allowedRetryCount=ATTEMPTS - 1)
        ids = {label: server.create(DEFINITION, label=label)["id"] for label in [*GOOD, "deadly"]}
    servers = 0
    while not (ended := _ended(new_database)) >= ids.keys():
        assert servers < 20, (ended, file.read_text())
        servers += 1
        command = [sys.executable, "-m", "tests.system.crashing_built_in_tasks", new_database, str(file)]
        with subprocess.Popen(command, cwd=ROOT) as process:
            until(lambda: process.poll() is not None or _ended(new_database) >= ids.keys(), timeout=60)
            process.kill()
    assert file.read_text().splitlines() == ["a b c deadly", *["deadly"] * (ATTEMPTS - 1)]
    with running_server(new_database) as server:
        tasks = {label: server.task(id) for label, id in ids.items()}
    assert {label: (task["outcome"], task["retryCount"]) for label, task in tasks.items()} == {
        **dict.fromkeys(GOOD, ("succeeded", 2)),
        "deadly": ("failed", ATTEMPTS),
    }


def _ended(conninfo: str) -> set[str]:
    with psycopg.connect(conninfo, autocommit=True) as connection:
        return {label for (label,) in connection.execute("select label from fencepost.done_tasks").fetchall()}
