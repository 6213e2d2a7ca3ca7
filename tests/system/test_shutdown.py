"""Shutdown on SIGTERM with calls in progress, and starts that are refused."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from tests.fixtures.locks import locked_rows, until_stuck
from tests.fixtures.processes import Client, Process, serving
from tests.fixtures.protocols import PROTOCOLS

pytestmark = pytest.mark.shows("guarantees/shutdown-answers")

SECONDS_TO_END = 10


@pytest.fixture(scope="module")
def data(open_folder: Path) -> Path:
    """The data folder of every server of this module: to create one takes most of a start."""
    return open_folder / "shutdown" / "data"


@pytest.fixture(params=PROTOCOLS)
def process(request: pytest.FixtureRequest, data: Path, tmp_path: Path) -> Iterator[Process]:
    with serving(tmp_path, "--data-dir", str(data), "--http", request.param) as running:
        with Client(running.port) as client:
            client.call("awf.definition/put", {"kind": "task", "name": "demo/resize"})
        yield running


def post(process: Process, method: str, params: dict[str, Any]) -> tuple[int, Any]:
    """Make one call, once."""
    with Client(process.port) as client:
        return client.post({"method": method, "params": params})


def test_waiting_polls_get_an_empty_list_when_the_server_stops(process: Process, pool: ThreadPoolExecutor) -> None:
    wanted = {"taskDefinitions": ["demo/none"]}
    polls = [pool.submit(post, process, "awf.task/long-poll", {**wanted, "timeout": 60_000}) for _ in range(10)]
    with Client(process.port) as client:
        # Polls for one definition are served in order: when later polls were answered, the long polls are waiting.
        for _ in range(20):
            client.call("awf.task/poll", wanted)

    began = time.monotonic()
    process.terminate()
    assert process.wait(SECONDS_TO_END) == 0
    assert time.monotonic() - began < SECONDS_TO_END
    assert [poll.result(1) for poll in polls] == [(200, {"result": {"resources": []}})] * 10


def test_a_running_call_is_completed_and_answered_when_the_server_stops(
    process: Process, data: Path, pool: ThreadPoolExecutor
) -> None:
    with Client(process.port) as client:
        client.call("awf.task/create-and-execute", {"definition": "demo/resize"})
        (task,) = client.call("awf.task/poll", {"taskDefinitions": ["demo/resize"], "start": True})["resources"]
    lease = {"id": task["id"], "execId": task["execId"]}
    conninfo = make_conninfo(host=str(data / "run"), user="postgres", dbname="postgres")
    with locked_rows(conninfo, "live_tasks"):
        finish = pool.submit(post, process, "awf.task/success", lease)
        until_stuck(conninfo, finish)
        process.terminate()
    assert finish.result(SECONDS_TO_END)[0] == 200
    assert process.wait(SECONDS_TO_END) == 0
    process.start()
    with Client(process.port) as client:
        assert client.call("awf.task/status", {"id": task["id"]})["resource"]["outcome"] == "succeeded"


def test_a_blocked_call_does_not_keep_the_server_from_stopping(
    process: Process, data: Path, pool: ThreadPoolExecutor
) -> None:
    with Client(process.port) as client:
        id = client.call("awf.task/create-and-execute", {"definition": "demo/resize"})["resource"]["id"]
    conninfo = make_conninfo(host=str(data / "run"), user="postgres", dbname="postgres")
    # The lock ends with its session when the server stops its Postgres.
    with contextlib.suppress(psycopg.OperationalError), locked_rows(conninfo, "live_tasks"):
        cancel = pool.submit(post, process, "awf.task/cancel", {"id": id})
        until_stuck(conninfo, cancel)
        process.terminate()
        assert process.wait(SECONDS_TO_END) == 0
    answered = cancel.exception(1) is None
    assert not answered or cancel.result()[0] == 503


def refused(*arguments: str) -> str:
    """Start a server that must refuse to start, and return its last line on stderr."""
    command = [sys.executable, "-m", "fencepost", "serve", "--port", "0", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stdout) == (2, "")
    return done.stderr.strip().splitlines()[-1]


def test_a_second_server_on_the_same_data_folder_is_refused_in_one_sentence(process: Process, data: Path) -> None:
    assert refused("--data-dir", str(data)).startswith(f"fencepost: The data folder {data} is in use by another")
    with Client(process.port) as client:
        assert client.post({"method": "awf.task/list"})[0] == 200


def test_a_port_in_use_is_refused_in_one_sentence(process: Process, database: str) -> None:
    said = refused("--database-url", database, "--port", str(process.port))
    assert said.startswith(f"fencepost: cannot listen on 127.0.0.1:{process.port}")


@pytest.mark.parametrize("url", ["postgresql://nobody@127.0.0.1:1/x", "host=/nowhere user=x"])
def test_an_unreachable_database_at_the_start_is_refused_in_one_sentence(url: str) -> None:
    assert refused("--database-url", url).startswith("fencepost: cannot connect to the database: ")


@pytest.mark.parametrize("url", ["not a url", "http://a/b"])
def test_an_invalid_database_address_is_refused_and_not_printed(url: str) -> None:
    said = refused("--database-url", url)
    assert said.startswith("fencepost: --database-url is not the address of a Postgres: ")
    assert url not in said
