"""The shell worker of the README: ten lines of curl and YAML finish tasks."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fixtures.servers import Server
from tests.fixtures.waiting import until

README = Path(__file__).parents[2] / "README.md"


@pytest.fixture
def script() -> str:
    section = README.read_text("utf-8").split("## A worker in shell")[1]
    block = re.search(r"```sh\n(.*?)```", section, re.DOTALL)
    assert block is not None
    return block[1]


@pytest.fixture
def worker(server: Server, script: str) -> Iterator[subprocess.Popen[str]]:
    server.define("demo/greet")
    process = subprocess.Popen(
        ["bash", "-c", script], env={**os.environ, "URL": server.url}, stdout=subprocess.PIPE, text=True
    )
    yield process
    process.kill()
    process.communicate()


def test_the_shell_worker_is_ten_lines_at_most(script: str) -> None:
    assert len(script.splitlines()) <= 10


def test_the_shell_worker_finishes_tasks(server: Server, worker: subprocess.Popen[str]) -> None:
    ids = [server.create("demo/greet", id=id)["id"] for id in ("plain", "123", "0x1F", "no", "1e5")]

    until(lambda: all(server.task(id)["status"] == "done" for id in ids), timeout=20)

    for id in ids:
        task = server.task(id)
        assert (task["outcome"], task["result"]) == ("succeeded", {"greeting": "Hello"})
    assert worker.poll() is None
