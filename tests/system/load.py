"""Clients that create and finish tasks as fast as they can, and record every acknowledged call."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from tests.fixtures.processes import Client
from tests.fixtures.servers import CallRefused
from tests.fixtures.waiting import until

DEFINITION = "load/task"
# The most tasks that wait for workers; more would only prolong the end of the test.
_BACKLOG = 200


class Load:
    """Acknowledged calls of all clients: ids of created tasks, and results of finished tasks by id."""

    def __init__(self, *ports: int) -> None:
        self.created: dict[str, int] = {}
        self.finished: dict[str, dict[str, Any]] = {}
        self.too_late = 0
        self.retries = 0
        self._ports = ports
        self._clients: list[Future[None]] = []
        self._no_more = threading.Event()
        self._stop = threading.Event()

    @contextmanager
    def running(self, creators: int = 2, workers: int = 3) -> Iterator[None]:
        """Run the clients until the block ends; then stop to create, and wait until every task is done."""
        with ThreadPoolExecutor(creators + workers) as pool:
            making = [pool.submit(self._create, number) for number in range(creators)]
            working = [pool.submit(self._work, number) for number in range(workers)]
            self._clients = [*making, *working]
            try:
                yield
                self._no_more.set()
                for creator in making:
                    creator.result(40)
                self._until_all_are_done()
            finally:
                self._no_more.set()
                self._stop.set()
            for worker in working:
                worker.result(40)

    def until_finished(self, more: int) -> None:
        """Wait until `more` tasks have been finished from now on."""
        enough = len(self.finished) + more

        def is_enough() -> bool:
            for client in self._clients:
                if client.done():
                    client.result()  # raises the error of the client
            return len(self.finished) >= enough

        until(is_enough, timeout=20)

    def _client(self, number: int) -> Client:
        """Return a client that starts at one of the servers and switches to the next when that one fails."""
        begin = number % len(self._ports)
        return Client(*self._ports[begin:], *self._ports[:begin])

    def _create(self, creator: int) -> None:
        with self._client(creator) as client:
            number = 0
            while not self._no_more.is_set():
                if len(self.created) - len(self.finished) > _BACKLOG:
                    self._no_more.wait(0.01)
                    continue
                id = f"{creator}-{number}"
                params = {"definition": DEFINITION, "id": id, "params": {"number": number}}
                client.call("awf.task/create-and-execute", params)
                self.created[id] = number
                number += 1
            self.retries += client.retries

    def _work(self, worker: int) -> None:
        with self._client(worker) as client:
            rounds = 0
            while not self._stop.is_set():
                rounds += 1
                wanted = {"taskDefinitions": [DEFINITION], "maxBatchSize": 5, "start": True}
                request = {"requestId": f"{worker}-{rounds}", "worker": f"w-{worker}"}
                for task in client.call("awf.task/long-poll", {**wanted, **request, "timeout": 200})["resources"]:
                    self._finish(client, worker, task)
            self.retries += client.retries

    def _finish(self, client: Client, worker: int, task: dict[str, Any]) -> None:
        result = {"number": task["params"]["number"], "worker": worker, "execId": task["execId"]}
        params = {"id": task["id"], "execId": task["execId"], "result": result}
        try:
            client.call("awf.task/success", params)
        except CallRefused as refused:
            if refused.fault["type"] != "exec-id-mismatch":
                raise
            # The lease had ended: another worker has the task, and this result must never appear.
            self.too_late += 1
        else:
            assert task["id"] not in self.finished, "a task was finished twice"
            self.finished[task["id"]] = result

    def _until_all_are_done(self) -> None:
        with Client(*self._ports) as client:
            listing = {"filter": {"status": ["waiting", "ready", "requested", "in-progress"]}, "limit": 1}
            for _ in range(3000):
                if not client.call("awf.task/list", listing)["resources"]:
                    return
                self._stop.wait(0.01)
        raise AssertionError("some tasks are stuck")

    def check(self) -> None:
        """Check with the server that everything acknowledged is there, done once, with the acknowledged result."""
        ids = list(self.created)
        with Client(*self._ports) as client:
            for start in range(0, len(ids), 200):
                part = ids[start : start + 200]
                answers = client.calls([("awf.task/status", {"id": id, "include-log?": True}) for id in part])
                for id, answer in zip(part, answers, strict=True):
                    self._check(id, answer["resource"], answer["log"])

    def _check(self, id: str, task: dict[str, Any], log: list[dict[str, Any]]) -> None:
        assert (task["status"], task["outcome"]) == ("done", "succeeded")
        assert task["result"]["number"] == self.created[id] == task["params"]["number"]
        assert task["result"]["execId"] == task["execId"]
        assert self.finished.get(id, task["result"]) == task["result"]
        assert [entry["action"] for entry in log].count("awf.task/success") == 1
        assert [int(entry["versionId"]) for entry in log] == list(range(1, len(log) + 1))
