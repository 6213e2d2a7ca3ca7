"""The decider of device workflows: steps, retries, new attempts, and the end of a run."""

from __future__ import annotations

from typing import Any

import msgspec
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fencepost.domain.actions import CompleteWorkflow, Fail, ScheduleTask, ScheduleWorkflow
from fencepost.domain.decider import Activity, Event, Facts
from fencepost.domain.workflow import Workflow
from fencepost.vocabularies.devices.decider import Policy, decider
from fencepost.vocabularies.devices.document import DeviceWorkflow

TWO_STEPS: list[dict[str, Any]] = [{"action": "GO", "payload": {"to": "dock"}}, {"action": "WAIT"}]


class Run:
    """A run without a server: the test ends its activities."""

    def __init__(self, steps: list[dict[str, Any]], params: dict[str, Any] | None = None, retries: int = 3) -> None:
        document = {"kind": "device-workflow", "name": "demo/patrol", "device": "r2", "steps": steps}
        self.document = _document(document)
        self.params = orjson.dumps(params or {})
        self.decide = decider(Policy(retries=retries))
        self.activities: dict[str, Activity] = {}
        self.end: dict[str, Any] | None = None
        self.step(Event("awf.workflow.event/workflow-init"))

    def step(self, event: Event) -> None:
        for action in self.decide(self.facts, event):
            match action:
                case ScheduleTask(task_request=request) | ScheduleWorkflow(workflow_request=request):
                    assert request is not None
                    assert request.label is not None
                    assert request.label not in self.activities
                    is_workflow = isinstance(action, ScheduleWorkflow)
                    params = bytes(request.params)  # type: ignore[arg-type]  # it has some
                    self.activities[request.label] = Activity(
                        request.label, request.label, request.definition, is_workflow, params, None, None, None
                    )
                case CompleteWorkflow(result=said) | Fail(error=said):
                    self.end = orjson.loads(bytes(said))  # type: ignore[arg-type]  # it has one

    @property
    def facts(self) -> Facts:
        workflow = Workflow(
            "run-1", "demo/patrol", 1, "in-progress", None, self.params, b"{}", "", 1, None, "", *[None] * 5
        )
        return Facts(workflow, self.document, self.activities)

    @property
    def labels(self) -> list[str]:
        return list(self.activities)

    @property
    def newest(self) -> Activity:
        return next(reversed(self.activities.values()))

    def params_of(self, label: str) -> Any:
        return orjson.loads(self.activities[label].params or b"")

    def ends(self, outcome: str, label: str | None = None, **said: Any) -> None:
        """End an activity, by default the newest, and make the decision that follows."""
        one = self.activities[label or self.newest.label]
        text = orjson.dumps(said)
        result, error = (text, None) if outcome == "succeeded" else (None, text if said else None)
        self.activities[one.label] = one._replace(outcome=outcome, result=result, error=error)
        self.step(Event("awf.workflow.event/task-completed", one.id, label=one.label, outcome=outcome))


def _document(document: dict[str, Any]) -> DeviceWorkflow:
    return msgspec.json.decode(orjson.dumps(document), type=DeviceWorkflow)


def test_the_first_step_is_a_task_of_the_device_with_all_its_params() -> None:
    run = Run(TWO_STEPS)
    assert run.labels == ["1/1/1"]
    assert run.newest.definition == "device/r2"
    assert run.params_of("1/1/1") == {
        "action_name": "GO",
        "payload": {"to": "dock"},
        "device_id": "r2",
        "device_name": "r2",
        "workflow_id": "demo/patrol",
        "workflow_run_id": "run-1",
        "attempt": 1,
        "step": 1,
    }


def test_a_step_follows_the_one_before_and_the_last_one_completes_the_run() -> None:
    run = Run(TWO_STEPS)
    run.ends("succeeded")
    assert run.labels == ["1/1/1", "1/2/1"]
    assert (run.params_of("1/2/1")["action_name"], run.params_of("1/2/1")["payload"]) == ("WAIT", {})
    run.ends("succeeded", distance=3)
    assert run.end == {"status": "COMPLETED", "device": "r2", "attempt": 1, "result": {"distance": 3}}


def test_the_device_of_a_run_overrides_that_of_the_document() -> None:
    assert Run(TWO_STEPS, {"device": "c3"}).newest.definition == "device/c3"
    assert Run(TWO_STEPS, {"device": 17}).newest.definition == "device/17"


def test_the_payload_of_a_run_goes_into_its_first_step_alone() -> None:
    run = Run(TWO_STEPS, {"payload": {"to": "door", "fast": True}})
    run.ends("succeeded")
    assert run.params_of("1/1/1")["payload"] == {"to": "door", "fast": True}
    assert run.params_of("1/2/1")["payload"] == {}


@pytest.mark.parametrize("error", [{}, {"status": "REJECTED", "reason": "busy"}, {"status": "ABORTED"}])
def test_a_failed_step_is_retried_as_a_new_task(error: dict[str, Any]) -> None:
    run = Run(TWO_STEPS)
    run.ends("succeeded")
    run.ends("failed", **error)
    assert run.labels == ["1/1/1", "1/2/1", "1/2/2"]
    assert run.params_of("1/2/2") == run.params_of("1/2/1")
    run.ends("succeeded")
    assert run.end is not None
    assert run.end["status"] == "COMPLETED"


def test_a_run_fails_with_step_and_reason_after_the_last_retry() -> None:
    run = Run(TWO_STEPS, retries=1)
    run.ends("failed", reason="first")
    run.ends("failed", status="REJECTED", reason="busy")
    assert run.labels == ["1/1/1", "1/1/2"]
    assert run.end == {
        "status": "FAILED",
        "device": "r2",
        "attempt": 1,
        "step": 1,
        "action": "GO",
        "reason": "busy",
    }


def test_a_fail_point_begins_a_new_attempt_with_it_in_the_first_payload() -> None:
    run = Run(TWO_STEPS)
    run.ends("succeeded")
    run.ends("failed", status="ABORTED", failPoint={"x": 1.50, "leg": 3})
    assert run.labels == ["1/1/1", "1/2/1", "2/1/1"]
    assert run.params_of("2/1/1")["payload"] == {"to": "dock", "failPoint": {"x": 1.5, "leg": 3}}
    assert run.params_of("2/1/1")["attempt"] == 2
    run.ends("succeeded")
    assert run.params_of("2/2/1")["payload"] == {}


@pytest.mark.shows("devices/fail-point-unchanged")
def test_a_fail_point_keeps_its_json_text() -> None:
    run = Run([{"action": "GO"}])
    one = run.newest
    run.activities[one.label] = one._replace(
        outcome="failed", error=b'{"status":"ABORTED","failPoint":[1.10,2e2,"\\u00e9"]}'
    )
    run.step(Event("awf.workflow.event/task-completed", one.id, label=one.label, outcome="failed"))
    assert b'"failPoint":[1.10,2e2,"\xc3\xa9"]' in (run.newest.params or b"")


def test_a_retry_within_a_later_attempt_keeps_the_fail_point() -> None:
    run = Run(TWO_STEPS)
    run.ends("failed", status="ABORTED", failPoint="leg-3")
    run.ends("failed", status="ABORTED")
    assert run.labels == ["1/1/1", "2/1/1", "2/1/2"]
    assert run.params_of("2/1/2")["payload"]["failPoint"] == "leg-3"


def test_the_retry_limit_of_attempts_is_that_of_steps() -> None:
    run = Run(TWO_STEPS, retries=2)
    for _ in range(3):
        run.ends("failed", status="ABORTED", failPoint={"n": 1}, reason="fell")
    assert run.labels == ["1/1/1", "2/1/1", "3/1/1"]
    assert run.end is not None
    assert (run.end["status"], run.end["attempt"], run.end["reason"]) == ("FAILED", 3, "fell")


def test_a_fail_point_of_a_rejection_is_ignored() -> None:
    run = Run(TWO_STEPS)
    run.ends("failed", status="REJECTED", failPoint={"n": 1})
    assert run.labels == ["1/1/1", "1/1/2"]


def test_a_canceled_step_is_not_retried() -> None:
    run = Run(TWO_STEPS)
    run.ends("canceled")
    assert run.end is not None
    assert (run.end["status"], run.end["reason"]) == ("ABORTED", "canceled")


def test_a_workflow_step_takes_the_payload_and_returns_its_result() -> None:
    run = Run([{"workflow": "shop/upload", "payload": {"map": 7}}], {"payload": {"slow": True}})
    assert (run.newest.is_workflow, run.newest.definition) == (True, "shop/upload")
    assert run.params_of("1/1/1") == {"map": 7, "slow": True}
    run.ends("failed", failPoint={"is": "not ours"})
    assert run.labels == ["1/1/1", "1/1/2"]
    assert run.params_of("1/1/2") == {"map": 7, "slow": True}
    run.ends("succeeded", stored=True)
    assert run.end is not None
    assert run.end["result"] == {"stored": True}


def test_a_run_fails_with_the_error_of_its_workflow_step() -> None:
    run = Run([{"workflow": "shop/upload"}], retries=0)
    run.ends("failed", why="full")
    assert run.end == {
        "status": "FAILED",
        "device": "r2",
        "attempt": 1,
        "step": 1,
        "action": "shop/upload",
        "error": {"why": "full"},
    }


def test_an_event_of_an_earlier_task_begins_nothing() -> None:
    run = Run(TWO_STEPS)
    run.ends("failed")
    run.ends("succeeded", label="1/1/1")
    assert run.labels == ["1/1/1", "1/1/2"]


ends = st.sampled_from(["succeeded", "failed", "fail point", "rejected"])


@given(retries=st.integers(0, 2), steps=st.integers(1, 3), outcomes=st.lists(ends, max_size=60))
def test_a_run_ends_within_its_bounds_and_never_has_two_tasks(retries: int, steps: int, outcomes: list[str]) -> None:
    run = Run([{"action": f"STEP_{number}"} for number in range(steps)], retries=retries)
    said: dict[str, dict[str, Any]] = {
        "fail point": {"status": "ABORTED", "failPoint": 1},
        "rejected": {"status": "REJECTED"},
    }
    for outcome in outcomes:
        if run.end is not None:
            break
        run.ends("succeeded" if outcome == "succeeded" else "failed", **said.get(outcome, {}))
        live = [one for one in run.activities.values() if one.outcome is None]
        assert len(live) == (run.end is None)
    assert len(run.activities) <= (1 + retries) ** 2 * steps
    if run.end is not None:
        assert run.end["status"] == ("COMPLETED" if run.newest.outcome == "succeeded" else "FAILED")
