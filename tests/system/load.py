"""Clients that create and finish tasks as fast as they can, and record every acknowledged call.

Every second client makes calls for many tasks.
"""

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
# Tasks of a create for many.
_MANY = 5
# The most tasks whose logs are checked at the end.
_LOGS = 1000


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
                if creator % 2:
                    numbers = range(number, number + _MANY)
                    new: dict[str, Any] = {"definition": DEFINITION, "params": [{"number": one} for one in numbers]}
                    created = client.call("awf.task/create-many", {**new, "requestId": f"{creator}-{number}"})
                    assert created["refused"] == []
                    self.created.update(zip(created["ids"], numbers, strict=True))
                    number += _MANY
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
                request: dict[str, Any] = {"requestId": f"{worker}-{rounds}", "worker": f"w-{worker}", "timeout": 200}
                if worker % 2:
                    request["fields"] = ["params"]
                tasks = client.call("awf.task/long-poll", {**wanted, **request})["resources"]
                results = [
                    {"number": task["params"]["number"], "worker": worker, "execId": task["execId"]} for task in tasks
                ]
                if worker % 2:
                    self._finish_many(client, tasks, results)
                else:
                    for task, result in zip(tasks, results, strict=True):
                        self._finish(client, task, result)
            self.retries += client.retries

    def _finish(self, client: Client, task: dict[str, Any], result: dict[str, Any]) -> None:
        try:
            client.call("awf.task/success", {"id": task["id"], "execId": task["execId"], "result": result})
        except CallRefused as refused:
            self._finished(task, result, refused.fault["type"])
        else:
            self._finished(task, result)

    def _finish_many(self, client: Client, tasks: list[dict[str, Any]], results: list[dict[str, Any]]) -> None:
        left = list(zip(tasks, results, strict=True))
        while left:
            leases = {name + "s": [task[name] for task, _ in left] for name in ("id", "execId")}
            ended = client.call("awf.task/success-many", {**leases, "results": [result for _, result in left]})
            types = {item["index"]: item["error"]["type"] for item in ended["refused"]}
            again = [pair for place, pair in enumerate(left) if types.get(place) == "unavailable"]
            for place, (task, result) in enumerate(left):
                if types.get(place) != "unavailable":
                    self._finished(task, result, types.get(place))
            left = again

    def _finished(self, task: dict[str, Any], result: dict[str, Any], refusal: str | None = None) -> None:
        if refusal is not None:
            assert refusal == "exec-id-mismatch"
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
        with Client(*self._ports) as client:
            tasks = {task["id"]: task for task in self._tasks(client)}
            assert sorted(tasks) == sorted(self.created), "a repeated create made another task"
            for id, task in tasks.items():
                self._check_task(id, task)
            some = list(tasks)[:: len(tasks) // _LOGS + 1]
            for start in range(0, len(some), 200):
                part = some[start : start + 200]
                answers = client.calls([("awf.task/status", {"id": id, "include-log?": True}) for id in part])
                for answer in answers:
                    self._check_log(answer["log"])

    def _tasks(self, client: Client) -> Iterator[dict[str, Any]]:
        page: dict[str, Any] = {"limit": 100}
        while True:
            found = client.call("awf.task/list", page)
            yield from found["resources"]
            if "next" not in found:
                return
            page["after"] = found["next"]

    def _check_task(self, id: str, task: dict[str, Any]) -> None:
        assert (task["status"], task["outcome"]) == ("done", "succeeded")
        assert task["result"]["number"] == self.created[id] == task["params"]["number"]
        assert task["result"]["execId"] == task["execId"]
        assert self.finished.get(id, task["result"]) == task["result"]

    def _check_log(self, log: list[dict[str, Any]]) -> None:
        assert [entry["action"] for entry in log].count("awf.task/success") == 1
        assert [int(entry["versionId"]) for entry in log] == list(range(1, len(log) + 1))
