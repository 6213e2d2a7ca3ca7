"""Decisions that would need too much memory fail their workflow with a reason, after a bounded number of attempts."""

from __future__ import annotations

import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.fixtures.processes import Client, Process, serving
from tests.fixtures.taskflows import flow, task
from tests.fixtures.waiting import until

pytestmark = pytest.mark.shows("guarantees/decision-too-large")

MEMORY = 3 << 30
ROOT = Path(__file__).parents[2]


@pytest.fixture
def process(database: str, tmp_path: Path) -> Iterator[Process]:
    """A server with a limit on its address space."""
    with serving(tmp_path, "--database-url", database) as running:
        if sys.platform == "linux":
            resource.prlimit(running.pid, resource.RLIMIT_AS, (MEMORY, MEMORY))
        yield running


def answered(client: Client, name: str, result: object) -> None:
    """Claim the task of a flow and report success."""
    wanted = {"taskDefinitions": [f"svc/{name}"], "requestId": name, "start": True, "timeout": 10_000}
    (one,) = client.call("awf.task/long-poll", wanted)["resources"]
    client.call("awf.task/success", {"id": one["id"], "execId": one["execId"], "result": result})


@pytest.mark.parametrize(
    "params",
    [
        ["{{s1.a.text}}"] * 4000,
        {"text": "{{s1.a.text}}" * 5000},
        ["{{s1}}"] * 8000,
        ["{{s1.a}} and {{ s1.a }}"] * 3000,
        ["{{context.text}}"] * 4000,
    ],
    ids=["values", "one text", "stages", "texts", "context"],
)
def test_placeholders_that_would_expand_too_far_fail_the_workflow_before_they_are_filled(
    process: Process, params: object
) -> None:
    text = "x" * 800_000
    with Client(process.port) as client:
        made = flow(["a"], [task("b", {"of": params}), "c"], context={"text": text[:150_000]})
        id = client.call("awf.taskflow/produce", made)["data"]["taskflowId"]
        answered(client, "a", {"text": text})
        workflow = until(lambda: _ended(client, id), timeout=30)
        assert workflow is not None
        assert workflow["outcome"] == "failed"
        message = workflow["error"]["message"]
        assert message == "more than 16777216 bytes would be filled in for the placeholders of the next tasks"
        assert process.status is None


def test_placeholders_just_below_the_limit_are_filled_within_bounded_memory(process: Process) -> None:
    with Client(process.port) as client:
        made = flow(["a"], [task(f"b{number}", {"of": "{{s1.a.text}}"}) for number in range(7)])
        id = client.call("awf.taskflow/produce", made)["data"]["taskflowId"]
        answered(client, "a", {"text": "x" * 1_000_000})
        sent = until(
            lambda: client.call("awf.task/poll", {"taskDefinitions": ["svc/b6"], "requestId": "last"})["resources"],
            timeout=60,
        )
        assert len(sent[0]["params"]["params"]["of"]) == 1_000_000
        assert _ended(client, id) is None


def test_a_decision_that_crashes_its_server_is_tried_six_times_and_fails_the_workflow(
    new_database: str, tmp_path: Path
) -> None:
    file = tmp_path / "deaths"
    file.touch()
    servers = 0
    with psycopg.connect(new_database, autocommit=True) as connection:

        def outcome() -> str | None:
            row = connection.execute("select outcome from fencepost.done_workflows where id = 'deadly'").fetchone()
            return None if row is None else row[0]

        while outcome() is None:
            assert servers < 20, f"{file.read_text().count('deadly')} decisions were made"
            servers += 1
            command = [sys.executable, "-m", "tests.system.crashing_decider_server", new_database, str(file)]
            with subprocess.Popen(command, cwd=ROOT) as server:
                until(lambda: server.poll() is not None or outcome() is not None, timeout=60)
                server.kill()
        assert outcome() == "failed"
    assert file.read_text().split() == ["deadly"] * 6


def _ended(client: Client, id: str) -> dict[str, Any] | None:
    workflow: dict[str, Any] = client.call("awf.workflow/status", {"id": id})["resource"]
    return workflow if workflow["status"] == "done" else None
