"""kill -9 of the server during flows: each completes, nested ones once, and no event is missed."""

from __future__ import annotations

import tempfile
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.fixtures.processes import Client, Process, serving
from tests.fixtures.servers import CallRefused
from tests.fixtures.taskflows import flow, task, tasks
from tests.fixtures.waiting import until

pytestmark = pytest.mark.shows("guarantees/flow-state")

FLOWS = 25
KILLS = 3
# Tasks to be done between two kills.
PROGRESS = 20
OPTIONS = {"maxRetries": 50, "retryDelay": 100}


@pytest.fixture
def process() -> Iterator[Process]:
    """A server on its own Postgres."""
    with tempfile.TemporaryDirectory(prefix="fencepost-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        # Readable for every user: as root, Postgres runs as another user.
        folder.chmod(0o755)
        with serving(folder, "--data-dir", str(folder / "data"), "--lease-grace", "0.5") as running:
            yield running


class Services:
    """The workers of the flows' tasks; that of `outer` produces a flow of its own."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._stop = threading.Event()
        self.done: Counter[str] = Counter()

    def run(self, number: int) -> None:
        """Poll and complete tasks until `stop`."""
        with Client(self._port) as client:
            rounds = 0
            while not self._stop.is_set():
                rounds += 1
                wanted = {"taskDefinitions": ["svc/plain", "svc/outer", "svc/inner"], "maxBatchSize": 3}
                request = {**wanted, "requestId": f"{number}-{rounds}", "start": True, "timeout": 200}
                for one in client.call("awf.task/long-poll", request)["resources"]:
                    self._answer(client, one)

    def stop(self) -> None:
        """Stop the threads."""
        self._stop.set()

    def _answer(self, client: Client, one: dict[str, Any]) -> None:
        meta = one["params"]["meta"]
        place = meta["taskflowExecutionContext"]["taskflow"]
        try:
            if one["definition"] == "svc/outer":
                request = {**flow(["inner"], options=OPTIONS), "meta": meta, "requestId": place["taskId"]}
                until(lambda: _said(client, request), timeout=90)
            lease = {"id": one["id"], "execId": one["execId"]}
            client.call("awf.task/success", {**lease, "result": {"of": place["taskId"]}})
            self.done[place["taskId"]] += 1
        except CallRefused as refused:
            # The lease has expired: another worker has the task.
            if refused.fault["type"] not in ("exec-id-mismatch", "parent-is-over"):
                raise


def test_every_flow_completes_once_whichever_process_is_killed(process: Process) -> None:
    services = Services(process.port)
    content = flow([task("outer"), "plain"], ["plain"], options=OPTIONS)
    with Client(process.port) as client, ThreadPoolExecutor(3) as pool:
        produced = client.calls([("awf.taskflow/produce", {**content, "requestId": str(n)}) for n in range(FLOWS)])
        ids = [answer["data"]["taskflowId"] for answer in produced]
        working = [pool.submit(services.run, number) for number in range(3)]
        try:
            for _ in range(KILLS):
                enough = services.done.total() + PROGRESS
                until(lambda: services.done.total() >= enough or any(one.done() for one in working), timeout=60)  # noqa: B023
                process.kill()
                process.start()
            records = [until(lambda: _ended(client, id), timeout=90) for id in ids]  # noqa: B023
        finally:
            services.stop()
        for one in working:
            one.result()
        again = client.calls([("awf.taskflow/produce", {**content, "requestId": str(n)}) for n in range(FLOWS)])
    assert [answer["data"]["taskflowId"] for answer in again] == ids
    for record in records:
        assert record["status"] == "COMPLETED"
        (outer, _, _) = tasks(record)
        assert len(outer["nestedTaskflows"]) == 1
        assert record["nestedTaskFlows"][outer["nestedTaskflows"][0]]["status"] == "COMPLETED"
        for one in tasks(record):
            assert one["response"] == {"of": one["id"]}
            assert services.done[one["id"]] == 1


def _said(client: Client, request: dict[str, Any]) -> bool:
    """Produce with a long timeout: after a kill, the decision waits for the expiry of its lease."""
    try:
        return bool(client.call("awf.taskflow/produce", request))
    except AssertionError:
        return False


def _ended(client: Client, id: str) -> Any:
    record = client.call("awf.taskflow/details", {"taskflowId": id})["data"]
    return record["status"] not in ("WAITING", "RUNNING") and record
