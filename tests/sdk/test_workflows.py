"""Deciders and tasks in a worker, on a real server, from the first event to the last."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from fencepost_sdk import AsyncClient, Client, Event, Facts, RpcError, Worker, WorkflowCanceled, WorkflowFailed, actions
from fencepost_sdk.actions import complete, do_nothing, fail, schedule_task, schedule_workflow, wait
from fencepost_sdk.deciders import Decider
from fencepost_sdk.workflows import Workflow
from tests.fixtures.faulty_proxy import FaultyProxy
from tests.fixtures.servers import Server
from tests.fixtures.waiting import until
from tests.fixtures.workflows import Decider as ByHand
from tests.sdk.conftest import Run, running

pytestmark = pytest.mark.shows("guarantees/decision-once")

Decide = Callable[..., Any]


@dataclass
class Order:
    customer: str
    pictures: int = 2


def worker_of(url: str, **deciders: Decide) -> Worker:
    """Return a worker that decides, and does `demo/resize`."""
    worker = Worker(url, concurrency=4)
    for name, decide in deciders.items():
        worker.workflow(f"demo/{name}", retry_delay=timedelta(0))(decide)

    @worker.task("demo/resize", retry_delay=timedelta(0), allowed_retry_count=0)
    def resize(params: dict[str, Any]) -> dict[str, Any]:
        if params.get("bad"):
            raise ValueError("too dark")
        return {"url": f"/{params['n']}"}

    return worker


def declared(server: Server, *names: str) -> None:
    """Wait until a worker has put its definitions."""
    wanted = {f"demo/{name}" for name in names}
    until(lambda: wanted <= {one["name"] for one in server.rpc("awf.definition/list")["resources"]})


def test_a_workflow_of_three_tasks_runs_from_its_first_event_to_its_last(
    server: Server, client: Client, run: Run
) -> None:
    async def decide(workflow: Facts[Order], event: Event) -> Any:
        assert workflow.label == "for ada"
        if event.kind == "init":
            return [schedule_task("demo/resize", f"picture-{n}", {"n": n}) for n in range(workflow.params.pictures)]
        if "last" in workflow.activities:
            return complete({one.label: one.result["url"] for one in workflow.activities.values()})
        if all(picture.succeeded for picture in workflow.activities.values()):
            return schedule_task("demo/resize", "last", {"n": 9})
        return None

    run(worker_of(server.url, order=decide))
    declared(server, "order", "resize")
    workflow = client.create_workflow("demo/order", Order("ada"), label="for ada")
    assert client.workflow_result(workflow, timeout=20) == {"picture-0": "/0", "picture-1": "/1", "last": "/9"}

    told = client.workflow(workflow, include_activities=True, include_decisions=True)
    assert told.workflow.outcome == "succeeded"
    assert [(one.label, one.outcome) for one in told.activities or []] == [
        ("picture-0", "succeeded"),
        ("picture-1", "succeeded"),
        ("last", "succeeded"),
    ]
    assert [one.params["event"].rpartition("/")[2] for one in told.decisions or []] == [
        "workflow-init",
        *["task-completed"] * 3,
    ]


def test_an_activity_has_ended_only_once_its_end_was_delivered(server: Server) -> None:
    told: list[tuple[str | None, dict[str, str | None]]] = []
    hold = threading.Event()

    def decide(workflow: Facts[Any], event: Event) -> Any:
        if event.kind == "init":
            return [schedule_task("demo/other", label) for label in ("one", "two")]
        assert hold.wait(20)
        told.append((event.label, {one.label: one.outcome for one in workflow.activities.values()}))
        return complete() if len(told) == 2 else do_nothing()

    server.define("demo/other")
    worker = Worker(server.url)
    worker.workflow("demo/order", declare=True)(decide)
    with running(worker), Client(server.url) as client:
        declared(server, "order")
        workflow = client.create_workflow("demo/order")
        tasks = until(lambda: server.poll("demo/other", start=True, maxBatchSize=2))
        tasks += [] if len(tasks) == 2 else until(lambda: server.poll("demo/other", start=True))
        for task in tasks:
            server.rpc("awf.task/success", {"id": task["id"], "execId": task["execId"]})
        hold.set()
        client.workflow_result(workflow, timeout=20)
    assert told == [
        ("one", {"one": "succeeded", "two": None}),
        ("two", {"one": "succeeded", "two": "succeeded"}),
    ]


def test_a_failed_task_is_delivered_with_its_error_and_may_fail_the_workflow(
    server: Server, client: Client, run: Run
) -> None:
    def decide(workflow: Facts[Any], event: Event) -> Any:
        if event.kind == "init":
            return schedule_task("demo/resize", "picture", {"bad": True})
        assert event.outcome == "failed"
        return fail(workflow.activities["picture"].error)

    run(worker_of(server.url, order=decide))
    declared(server, "order", "resize")
    with pytest.raises(WorkflowFailed) as caught:
        client.workflow_result(client.create_workflow("demo/order"), timeout=20)
    assert caught.value.error is not None
    assert caught.value.error["message"] == "too dark"
    assert caught.value.reason == {"type": "awf.workflow/failed-by-executor", "message": "Failed by executor"}


def test_an_exception_of_a_decider_fails_the_decision_which_is_retried(
    server: Server, client: Client, run: Run
) -> None:
    calls: list[str] = []

    def decide(workflow: Facts[Any], event: Event) -> Any:
        calls.append(event.kind)
        if len(calls) == 1:
            raise RuntimeError("the price list is gone")
        return complete({"tries": len(calls)})

    run(worker_of(server.url, order=decide))
    declared(server, "order")
    workflow = client.create_workflow("demo/order")
    assert client.workflow_result(workflow, timeout=20) == {"tries": 2}
    (decision,) = client.workflow(workflow, include_decisions=True).decisions or []
    assert (decision.retry_count, decision.outcome) == (2, "succeeded")


@pytest.mark.parametrize(
    ("decide", "said"),
    [
        (lambda workflow, event: 1 / 0, "ZeroDivisionError"),
        (lambda workflow, event: "yes", "TypeError"),
        (lambda workflow, event: schedule_task("demo/nothing", "one"), "result-refused"),
    ],
)
def test_a_decider_that_never_succeeds_fails_its_workflow(
    server: Server, client: Client, run: Run, decide: Decide, said: str
) -> None:
    run(worker_of(server.url, order=decide))
    declared(server, "order")
    workflow = client.create_workflow("demo/order")
    with pytest.raises(WorkflowFailed) as caught:
        client.workflow_result(workflow, timeout=20)
    assert (caught.value.reason or {})["type"] == "awf.executor/unknown-error"
    (decision,) = client.workflow(workflow, include_decisions=True).decisions or []
    assert (decision.outcome, decision.retry_count, decision.error["type"]) == ("failed", 3, said)


def test_workflow_params_that_do_not_fit_the_annotation_are_named(server: Server, client: Client, run: Run) -> None:
    def decide(workflow: Facts[Order], event: Event) -> Any:
        raise AssertionError("never called")

    run(worker_of(server.url, order=decide))
    declared(server, "order")
    workflow = client.create_workflow("demo/order", {"customer": 17})
    with pytest.raises(WorkflowFailed):
        client.workflow_result(workflow, timeout=20)
    (decision,) = client.workflow(workflow, include_decisions=True).decisions or []
    assert (decision.error["type"], decision.error["path"]) == ("invalid-params", "$.params.customer")


def test_children_timers_and_signals_are_events(server: Server, client: Client, run: Run) -> None:
    def parent(workflow: Facts[Any], event: Event) -> Any:
        match event:
            case Event(kind="init"):
                return schedule_workflow("demo/child", "child", {"n": 1})
            case Event(kind="workflow-completed", label="child"):
                assert event.workflow_id == workflow.activities["child"].id
                return wait("pause", timedelta(milliseconds=20))
            case Event(kind="signal"):
                return complete({"child": workflow.activities["child"].result, "said": event.payload})
        return None

    run(worker_of(server.url, parent=parent, child=lambda workflow, event: complete(workflow.params)))
    declared(server, "parent", "child")
    workflow = client.create_workflow("demo/parent")
    until(lambda: len(activities(client, workflow)) == 2)
    client.signal(workflow, "go", {"by": "ada"})
    assert client.workflow_result(workflow, timeout=20) == {"child": {"n": 1}, "said": {"by": "ada"}}


def test_a_decider_without_activities_reads_no_workflow_and_refuses_its_facts(
    server: Server, client: Client, run: Run
) -> None:
    def decide(workflow: Facts[Any], event: Event) -> Any:
        with pytest.raises(RuntimeError, match="so that its params is not read"):
            assert workflow.params
        if event.kind == "init":
            return schedule_task("demo/resize", "one", {"n": 1})
        return complete({"id": workflow.id, "label": event.label})

    worker = Worker(server.url)
    worker.workflow("demo/order", declare=True, activities=False)(decide)
    worker.task("demo/resize", declare=True)(lambda: None)
    run(worker)
    declared(server, "order", "resize")
    workflow = client.create_workflow("demo/order")
    assert client.workflow_result(workflow, timeout=20) == {"id": workflow.id, "label": "one"}


def test_workflow_result_of_a_canceled_workflow_raises_workflow_canceled(server: Server, client: Client) -> None:
    ByHand(server, "demo/order")
    workflow = client.create_workflow("demo/order", id="order-1", execute_at=datetime(2100, 1, 1, tzinfo=UTC))
    assert client.cancel_workflow("order-1").outcome == "canceled"
    with pytest.raises(WorkflowCanceled, match="order-1 was canceled"):
        client.workflow_result(workflow)
    with pytest.raises(RpcError, match="workflow-has-been-done"):
        client.signal(workflow, "go")


def test_a_lost_reply_starts_no_second_workflow_and_sends_no_second_signal(server: Server, proxy: FaultyProxy) -> None:
    by_hand = ByHand(server, "demo/order")
    with Client(proxy.url) as client:
        proxy.lose_reply("create-and-execute")
        workflow = client.create_workflow("demo/order", {"n": 1})
        proxy.lose_reply("/signal")
        client.signal(workflow, "go")
        by_hand.decide(by_hand.decision())
        by_hand.decide(by_hand.decision())
        assert by_hand.poll() == []
        assert [one.id for one in client.list_workflows(definitions=["demo/order"])] == [workflow.id]
        proxy.lose_reply("/cancel")
        assert client.cancel_workflow(workflow).outcome == "canceled"


def test_a_workflow_read_with_a_lost_reply_is_repeated(
    server: Server, proxy: FaultyProxy, client: Client, run: Run
) -> None:
    def decide(workflow: Facts[Any], event: Event) -> Any:
        if event.kind == "init":
            return schedule_task("demo/resize", "one", workflow.params)
        return complete(workflow.activities["one"].result)

    looks = [proxy.lose_reply("awf.workflow/status"), proxy.cut("awf.workflow/status", times=2)]
    run(worker_of(proxy.url, order=decide))
    declared(server, "order", "resize")
    workflow = client.create_workflow("demo/order", {"n": 1})
    assert client.workflow_result(workflow, timeout=20) == {"url": "/1"}
    assert [fault.hits for fault in looks] == [1, 2]
    decisions = client.workflow(workflow, include_decisions=True).decisions or []
    assert [decision.retry_count for decision in decisions] == [1, 1], "no attempt was spent on that"


def test_decisions_of_many_workflows_run_concurrently(server: Server, client: Client, run: Run) -> None:
    def decide(workflow: Facts[Any], event: Event) -> Any:
        if event.kind == "init":
            return [schedule_task("demo/resize", f"{n}", {"n": n}) for n in range(3)]
        if all(activity.done for activity in workflow.activities.values()):
            return complete({"n": workflow.params["n"]})
        return None

    run(worker_of(server.url, order=decide))
    declared(server, "order", "resize")
    begun = [client.create_workflow("demo/order", {"n": n}) for n in range(20)]
    assert [client.workflow_result(one, timeout=30)["n"] for one in begun] == list(range(20))


def test_the_async_client_has_the_workflow_methods(server: Server) -> None:
    ByHand(server, "demo/order")

    async def say() -> None:
        async with AsyncClient(server.url) as client:
            workflow = await client.create_workflow("demo/order", {"n": 1})
            assert (await client.workflow(workflow)).workflow.params == {"n": 1}
            await client.signal(workflow, "go")
            assert [one.id for one in await client.list_workflows(status="in-progress")] == [workflow.id]
            with pytest.raises(TimeoutError, match=f"workflow {workflow.id} is in-progress"):
                await client.workflow_result(workflow, timeout=0)
            await client.cancel_workflow(workflow)

    asyncio.run(say())


@pytest.mark.parametrize(
    ("decide", "said"),
    [
        (lambda event: None, "takes two parameters"),
        (lambda workflow, event, more: None, "takes two parameters"),
    ],
)
def test_a_function_that_cannot_be_a_decider_is_refused(decide: Decide, said: str) -> None:
    with pytest.raises(TypeError, match=said):
        Decider("demo/order", decide)


def test_a_decider_with_other_annotations_is_refused() -> None:
    def swapped(event: Event, workflow: Facts[Any]) -> None: ...

    with pytest.raises(TypeError, match="a decider takes Facts and an Event; event is annotated"):
        Worker().workflow("demo/order")(swapped)


def test_a_workflow_definition_has_no_concurrency_limit() -> None:
    with pytest.raises(TypeError, match="there is no setting 'concurrency_limit'"):
        Worker().workflow("demo/order", concurrency_limit=1)(lambda workflow, event: None)  # type: ignore[call-arg]


def test_actions_have_the_form_of_the_protocol() -> None:
    at = datetime(2030, 1, 2, tzinfo=UTC)
    assert actions.schedule_task("demo/resize", "one", Order("ada"), execute_at=at) == {
        "action": "awf.workflow.action/schedule-task",
        "task-request": {
            "definition": "demo/resize",
            "label": "one",
            "params": {"customer": "ada", "pictures": 2},
            "executeAt": "2030-01-02T00:00:00Z",
        },
    }
    assert actions.wait("w", timedelta(0))["task-request"]["params"] == {"duration": {"seconds": 0}}
    assert actions.wait("w", until=at)["task-request"]["params"] == {"until": "2030-01-02T00:00:00Z"}
    assert actions.fail("no") == {"action": "awf.workflow.action/fail", "error": {"message": "no"}}
    assert actions.complete() == {"action": "awf.workflow.action/complete-workflow"}
    with pytest.raises(TypeError, match="either a duration or until"):
        actions.wait("w")
    with pytest.raises(TypeError, match="needs a label"):
        actions.schedule_task("demo/resize", "")


def test_a_decision_of_a_killed_worker_is_made_by_another(server: Server, client: Client, tmp_path: Path) -> None:
    server.define("demo/resize")
    with deciding(server, "first", tmp_path / "first", hold=True) as first:
        declared(server, "order")
        workflow = client.create_workflow("demo/order")
        until((tmp_path / "first").exists)
        first.send_signal(signal.SIGKILL)
        first.wait(10)
    assert server.poll() == [], "nothing was begun"
    with deciding(server, "second", tmp_path / "second", hold=False):
        assert client.workflow_result(workflow, timeout=30) == {"by": "second"}
    status = client.workflow(workflow, include_activities=True, include_decisions=True)
    assert [one.label for one in status.activities or []] == ["pause"]
    assert [one.retry_count for one in status.decisions or []] == [2, 1]


def activities(client: Client, workflow: Workflow) -> list[Any]:
    """Return those that are done."""
    told = client.workflow(workflow, include_activities=True).activities or []
    return [activity for activity in told if activity.outcome is not None]


@contextmanager
def deciding(server: Server, name: str, said: Path, *, hold: bool) -> Iterator[subprocess.Popen[bytes]]:
    """Run a decider in a process of its own; it says in a file that it decides, and holds there if told to."""
    command = [sys.executable, str(Path(__file__).with_name("decider_process.py"))]
    arguments = [name, str(said), "hold" if hold else "go"]
    with subprocess.Popen([*command, *arguments], env={**os.environ, "FENCEPOST_URL": server.url}) as process:
        try:
            yield process
        finally:
            process.kill()
