"""A decider sees every activity of its workflow, also when they come in several pages."""

from __future__ import annotations

from typing import Any

from fencepost.settings import Limits, Settings
from fencepost_sdk import Client, Event, Facts, Worker, actions
from tests.fixtures.servers import running_server
from tests.fixtures.waiting import until
from tests.sdk.conftest import running

PAD = "x" * 70_000


def test_a_decider_sees_activities_of_every_page(database: str) -> None:
    with running_server(database, settings=Settings(limits=Limits(answer_bytes=200_000))) as server:
        worker = Worker(server.url)
        seen: list[int] = []
        worker.task("demo/part", declare=True)(lambda: None)

        @worker.workflow("demo/whole", declare=True)
        def decide(workflow: Facts[Any], event: Event) -> Any:
            if event.kind == "init":
                return [actions.schedule_task("demo/part", str(number), {"pad": PAD}) for number in range(12)]
            seen.append(len(workflow.activities))
            done = all(activity.done for activity in workflow.activities.values())
            return actions.complete({"parts": len(workflow.activities)}) if done else None

        with running(worker), Client(server.url) as client:
            until(lambda: len(server.rpc("awf.definition/list")["resources"]) == 2)
            workflow = client.create_workflow("demo/whole")
            assert client.workflow_result(workflow, timeout=60) == {"parts": 12}
        assert set(seen) == {12}
