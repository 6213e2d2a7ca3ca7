"""kill -9 of servers while an application enqueues: each committed task is executed once, and no other task exists."""

from __future__ import annotations

import random
import threading
from pathlib import Path

import psycopg
import pytest

from tests.fixtures.processes import Client, serving
from tests.fixtures.waiting import until

pytestmark = pytest.mark.shows("guarantees/enqueued-with-the-transaction")

DEFINITION = "demo/resize"
# Committed tasks between two kills.
PROGRESS = 60
KILLS = 4


class Application:
    """Transactions that enqueue; a third of them roll back."""

    def __init__(self, conninfo: str) -> None:
        self._conninfo = conninfo
        self.ended = threading.Event()
        self.committed: set[str] = set()

    def run(self) -> None:
        """Enqueue until told to end."""
        with psycopg.connect(self._conninfo) as connection:
            numbers = random.Random(17)
            while not self.ended.is_set():
                count = numbers.randint(1, 4)
                ids = connection.execute(
                    "select fencepost.enqueue_many(%s, array_fill('{}'::json, array[%s::int]))", [DEFINITION, count]
                ).fetchall()[0][0]
                if numbers.random() < 1 / 3:
                    connection.rollback()
                else:
                    connection.commit()
                    self.committed.update(ids)


class Worker:
    """Polls one server after the other, and finishes each task."""

    def __init__(self, *ports: int) -> None:
        self._ports = ports
        self.ended = threading.Event()
        self.done: list[str] = []

    def run(self) -> None:
        """Work until told to end."""
        number = 0
        with Client(*self._ports) as client:
            while not self.ended.is_set():
                number += 1
                ask = {"taskDefinitions": [DEFINITION], "maxBatchSize": 5, "timeout": 500, "requestId": str(number)}
                for task in client.call("awf.task/long-poll", ask | {"start": True})["resources"]:
                    client.call("awf.task/success", {"id": task["id"], "execId": task["execId"]})
                    self.done.append(task["id"])


def test_each_committed_task_is_executed_once_while_servers_are_killed(database: str, tmp_path: Path) -> None:
    folders = [tmp_path / "one", tmp_path / "other"]
    for folder in folders:
        folder.mkdir()
    arguments = ("--database-url", database)
    with serving(folders[0], *arguments) as one, serving(folders[1], *arguments) as other:
        with Client(one.port) as client:
            client.call("awf.definition/put", {"kind": "task", "name": DEFINITION})
        application, worker = Application(database), Worker(one.port, other.port)
        threads = [threading.Thread(target=application.run), threading.Thread(target=worker.run)]
        for thread in threads:
            thread.start()
        try:
            for kill in range(KILLS):
                aim = len(application.committed) + PROGRESS
                until(lambda: len(application.committed) >= aim)  # noqa: B023 it is used in this turn only
                victim = (one, other)[kill % 2]
                victim.kill()
                victim.start()
            application.ended.set()
            threads[0].join(20)
            until(lambda: len(worker.done) >= len(application.committed), timeout=60)
        finally:
            application.ended.set()
            worker.ended.set()
            for thread in threads:
                thread.join(20)
    assert sorted(worker.done) == sorted(application.committed)
    with psycopg.connect(database) as connection:
        tasks = connection.execute("select id, status from fencepost.task_resources").fetchall()
    assert {status for _, status in tasks} == {"done"}
    assert {id for id, _ in tasks} == application.committed


def test_a_task_that_commits_while_no_server_runs_is_found_by_the_next_one(database: str, tmp_path: Path) -> None:
    with serving(tmp_path, "--database-url", database) as server, psycopg.connect(database) as connection:
        with Client(server.port) as client:
            client.call("awf.definition/put", {"kind": "task", "name": DEFINITION})
        id = connection.execute("select fencepost.enqueue(%s)", [DEFINITION]).fetchall()[0][0]
        server.kill()
        connection.commit()
        server.start()
        with Client(server.port) as client:
            (task,) = client.call("awf.task/long-poll", {"taskDefinitions": [DEFINITION]})["resources"]
    assert task["id"] == id
