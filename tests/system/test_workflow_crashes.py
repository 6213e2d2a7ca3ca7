"""kill -9 with two hundred live workflows: each runs to its end with every step once."""

from __future__ import annotations

import os
import signal
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.fixtures.processes import Client, Process, postgres_pid, serving
from tests.fixtures.servers import CallRefused
from tests.fixtures.waiting import until
from tests.fixtures.workflows import ACTION

pytestmark = pytest.mark.shows("guarantees/event-reaches-decider")

WORKFLOWS = 200
KILLS = ["server", "postgres", "both", "server", "postgres", "server"]
# Decisions to be made between two kills.
PROGRESS = 120
TIMES = {"requestedToStartTimeout": 1000, "inProgressTimeout": 1500, "retryDelay": 100, "allowedRetryCount": 1000}
STEPS = ["a", "b", "c"]


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that every user can enter: when root runs the tests, Postgres runs as another user."""
    with tempfile.TemporaryDirectory(prefix="fencepost-", ignore_cleanup_errors=True) as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture
def process(folder: Path) -> Iterator[Process]:
    """A server with its own Postgres, with fsync on as in production."""
    with serving(folder, "--data-dir", str(folder / "data"), "--lease-grace", "0.5") as running:
        with Client(running.port) as client:
            for kind, name in (("task", "load/step"), ("workflow", "load/flow"), ("workflow", "load/sub")):
                client.call("awf.definition/put", {"kind": kind, "name": name, **TIMES})
        yield running


class Crew:
    """Workers and deciders that sometimes drop a task without a report."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._stop = threading.Event()
        self.decided = 0

    def run(self, number: int) -> int:
        """Poll and finish until stopped; return the number of repeated calls."""
        with Client(self._port) as client:
            rounds = 0
            while not self._stop.is_set():
                rounds += 1
                wanted = {"taskDefinitions": ["load/step"], "workflowDefinitions": ["load/flow", "load/sub"]}
                request = {"requestId": f"{number}-{rounds}", "maxBatchSize": 5, "start": True, "timeout": 200}
                for task in client.call("awf.task/long-poll", {**wanted, **request})["resources"]:
                    if (rounds + len(task["id"])) % 97:
                        self._finish(client, task)
            return client.retries

    def stop(self) -> None:
        """Stop polling after the current round."""
        self._stop.set()

    def _finish(self, client: Client, task: dict[str, Any]) -> None:
        lease = {"id": task["id"], "execId": task["execId"]}
        decides = "workflow-definition" in task
        try:
            result = decide(client, task) if decides else {"by": task["execId"]}
            client.call("awf.task/success", {**lease, "result": result})
            self.decided += decides
        except CallRefused as refused:
            # The lease had ended: another worker has the task.
            if refused.fault["type"] != "exec-id-mismatch":
                raise


def decide(client: Client, task: dict[str, Any]) -> list[dict[str, Any]]:
    """Start three steps at once, and a child in a top workflow; then one more step; then complete."""
    known = client.call("awf.workflow/status", {"id": task["requester"]["id"], "include-activities?": True})
    outcomes = {activity["label"]: activity.get("outcome") for activity in known["activities"]}
    if not outcomes:
        child = {"definition": "load/sub", "label": "sub"}
        top = task["workflow-definition"] == "load/flow"
        return [*map(step, STEPS), *([{"action": ACTION + "schedule-workflow", "workflow-request": child}] * top)]
    if task["params"].get("label") == "last":
        return [{"action": ACTION + "complete-workflow", "result": {"steps": len(outcomes)}}]
    if all(outcomes.values()):  # the current state, which may be ahead of this event
        return [step("last")]
    return []


def step(label: str) -> dict[str, Any]:
    return {"action": ACTION + "schedule-task", "task-request": {"definition": "load/step", "label": label}}


def test_every_workflow_runs_once_when_server_and_postgres_are_killed(process: Process, folder: Path) -> None:
    crew = Crew(process.port)
    ids = [f"flow-{number}" for number in range(WORKFLOWS)]
    with Client(process.port) as client, ThreadPoolExecutor(4) as pool:
        create = "awf.workflow/create-and-execute"
        client.calls([(create, {"definition": "load/flow", "id": id}) for id in ids])
        working = [pool.submit(crew.run, number) for number in range(4)]
        try:
            for victim in KILLS:
                enough = crew.decided + PROGRESS
                until(lambda: crew.decided >= enough or any(one.done() for one in working), timeout=40)  # noqa: B023
                if victim != "server":
                    os.kill(postgres_pid(folder / "data"), signal.SIGKILL)
                if victim != "postgres":
                    process.kill()
                    process.start()
            live = {"filter": {"status": "in-progress"}, "limit": 1}
            until(lambda: not client.call("awf.workflow/list", live)["resources"], timeout=60)
        finally:
            crew.stop()
        retries = sum(one.result(40) for one in working)
        for id in ids:
            check(client, id, [*STEPS, "sub", "last"])
    assert retries >= len(KILLS), "the kills interrupted no call"
    assert "Traceback" not in process.said


def check(client: Client, id: str, labels: list[str]) -> None:
    """Check that a workflow and its child ran each step once, and that each end was one event."""
    found = client.call("awf.workflow/status", {"id": id, "include-activities?": True, "include-decisions?": True})
    assert (found["resource"]["outcome"], found["resource"]["result"]) == ("succeeded", {"steps": len(labels)})
    assert Counter(activity["label"] for activity in found["activities"]) == Counter(labels)
    assert {activity["outcome"] for activity in found["activities"]} == {"succeeded"}
    told = [decision["params"].get("label", "begin") for decision in found["decisions"]]
    assert told[0] == "begin"
    assert Counter(told) == Counter(["begin", *labels])
    assert {decision["outcome"] for decision in found["decisions"]} == {"succeeded"}
    for activity in found["activities"]:
        if activity["resourceType"] == "AidboxWorkflow":
            check(client, activity["id"], [*STEPS, "last"])
        else:
            assert activity["result"] == {"by": activity["execId"]}
