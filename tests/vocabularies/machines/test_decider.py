"""The decisions for a machine workflow, event by event."""

from __future__ import annotations

from typing import Any

import msgspec
import orjson
import pytest

from fencepost.domain.actions import CompleteWorkflow, DoNothing, Fail, ScheduleTask
from fencepost.domain.decider import Activity, Event, Facts
from fencepost.domain.limits import LONGEST_MS
from fencepost.domain.workflow import Workflow
from fencepost.vocabularies.machines.decider import ACTION, TIME_LIMIT, decide
from fencepost.vocabularies.machines.document import MachineTemplate
from tests.fixtures.machines import template_of


def decided(event: Event, *activities: Activity, **limits: Any) -> Any:
    """Return the decision in a workflow of two actions: one action, as data."""
    grace = limits.pop("grace", 600)
    text = template_of(("w", ["wipe", "write"]), **limits)
    document = MachineTemplate(name="demo/provision", template=text, pull_grace=grace)
    row = {**dict.fromkeys(Workflow._fields), "id": "w1", "status": "in-progress", "definition": "demo/provision"}
    facts = Facts(Workflow(**row), document, {one.label: one for one in activities})  # type: ignore[arg-type]
    return decide(facts, event)


def ended(label: str, outcome: str, error: bytes | None = None) -> tuple[Event, Activity]:
    event = Event("awf.workflow.event/task-completed", label=label, outcome=outcome)
    return event, Activity("t1", label, ACTION, False, None, outcome, None, error)


def decoded(payload: msgspec.Raw | msgspec.UnsetType) -> Any:
    assert payload is not msgspec.UNSET
    return orjson.loads(bytes(payload))


INIT = Event("awf.workflow.event/workflow-init")


def test_a_new_workflow_schedules_its_first_action_only() -> None:
    (first,) = decided(INIT)
    assert isinstance(first, ScheduleTask)
    assert (first.task_request.definition, first.task_request.label) == (ACTION, "0 wipe")
    assert decoded(first.task_request.params) == {
        "index": 0,
        "total": 2,
        "task": "task-0",
        "action": "wipe",
        "worker": "w",
        "image": "hello-world",
        "timeout": 0,
        "command": [],
        "volumes": [],
        "environment": [],
        "pid": "",
    }


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ({}, None),
        ({"timeout": 90}, 690_000),
        ({"timeout": 90, "grace": 0}, 90_000),
        ({"timeout": -1}, None),
        ({"timeout": 2**62}, LONGEST_MS),
    ],
)
def test_an_action_has_no_retries_and_no_heartbeats(limits: dict[str, int], expected: int | None) -> None:
    (first,) = decided(INIT, **limits)
    settings = msgspec.to_builtins(first.task_request.settings)
    wanted = {"allowedRetryCount": 0, "inProgressTimeout": LONGEST_MS}
    assert settings == (wanted if expected is None else {**wanted, "attemptTimeout": expected})


def test_the_global_timeout_is_a_task_of_its_own() -> None:
    limit, first = decided(INIT, global_timeout=60)
    assert (limit.task_request.definition, first.task_request.definition) == (TIME_LIMIT, ACTION)
    assert limit.task_request.settings.attempt_timeout == 60_000


def test_a_success_schedules_the_next_action_and_the_last_completes_the_workflow() -> None:
    (second,) = decided(*ended("0 wipe", "succeeded"))
    assert second.task_request.label == "1 write"
    (end,) = decided(*ended("1 write", "succeeded"))
    assert isinstance(end, CompleteWorkflow)
    assert decoded(end.result) == {"state": "STATE_SUCCESS"}


@pytest.mark.parametrize(
    ("outcome", "error", "state", "message"),
    [
        ("failed", b'{"state":"STATE_FAILED","message":"no disk"}', "STATE_FAILED", "Action failed"),
        ("failed", b'{"state":"STATE_TIMEOUT"}', "STATE_TIMEOUT", "Action timed out"),
        ("failed", None, "STATE_TIMEOUT", "Action timed out"),
        ("canceled", None, "STATE_FAILED", "Action canceled"),
    ],
)
def test_a_failed_or_canceled_action_fails_the_workflow(
    outcome: str, error: bytes | None, state: str, message: str
) -> None:
    (end,) = decided(*ended("1 write", outcome, error))
    assert isinstance(end, Fail)
    expected = {"state": state, "message": message, "task": "task-0", "action": "write"}
    assert decoded(end.error) == expected


def test_only_the_expiry_of_the_global_timeout_fails_the_workflow() -> None:
    (end,) = decided(*ended("time-limit", "failed"), global_timeout=60)
    assert decoded(end.error) == {"state": "STATE_TIMEOUT", "message": "Global timeout"}
    (nothing,) = decided(*ended("time-limit", "canceled"), global_timeout=60)
    assert isinstance(nothing, DoNothing)


def test_a_signal_changes_nothing() -> None:
    (nothing,) = decided(Event("awf.workflow.event/signal", name="hello"))
    assert isinstance(nothing, DoNothing)
