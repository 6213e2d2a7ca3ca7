"""The actions of a decider: functions that build them.

schedule_task, schedule_workflow, wait, subscribe    start an activity under a label
complete, fail, unknown_error                        end the workflow
do_nothing                                           wait for the next event

An action is a dict in the form of the protocol, so that decisions can be compared. Each of the first four needs a label
that is unique within the workflow. Labels make decisions idempotent: the same content under a used label starts
nothing, and other content under it is refused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from fencepost_sdk.payloads import json_value
from fencepost_sdk.protocol import timestamp

Action = dict[str, Any]

PREFIX = "awf.workflow.action/"
SCHEDULE_TASK = PREFIX + "schedule-task"
SCHEDULE_WORKFLOW = PREFIX + "schedule-workflow"
DO_NOTHING = PREFIX + "do-nothing"
COMPLETE = PREFIX + "complete-workflow"
FAIL = PREFIX + "fail"
UNKNOWN_ERROR = PREFIX + "unknown-error"


def schedule_task(
    definition: str, label: str, params: Any = None, *, execute_at: datetime | str | None = None
) -> Action:
    """Start a task. `params` is any value that encodes to a JSON object; `execute_at` needs a timezone.

    actions.schedule_task("demo/resize", "small", {"width": 320})
    """
    return {"action": SCHEDULE_TASK, "task-request": _request(definition, label, params, execute_at)}


def schedule_workflow(
    definition: str, label: str, params: Any = None, *, execute_at: datetime | str | None = None
) -> Action:
    """Start a child workflow. It is canceled with this workflow, and its end is an event.

    actions.schedule_workflow("demo/shipping", "parcel-1", {"weight": 3})
    """
    return {"action": SCHEDULE_WORKFLOW, "workflow-request": _request(definition, label, params, execute_at)}


def wait(label: str, duration: timedelta | None = None, *, until: datetime | str | None = None) -> Action:
    """Start a timer that ends with the event `task-completed`. It runs on the server and occupies no worker.

    actions.wait("patience", timedelta(days=3))
    """
    if (duration is None) == (until is None):
        raise TypeError(f"the wait {label!r} needs either a duration or until")
    if duration is not None and not isinstance(duration, timedelta):
        raise TypeError(f"the duration of {label!r} is a timedelta, such as timedelta(minutes=2), not {duration!r}")
    if duration is not None:
        return schedule_task("awf.task/wait", label, {"duration": {"seconds": duration.total_seconds()}})
    assert until is not None, "one of the two is there"
    return schedule_task("awf.task/wait", label, {"until": timestamp(until)})


def subscribe(label: str, select_by: Sequence[Mapping[str, Any]]) -> Action:
    """Wait for a saved resource that matches all rules; the result of its `task-completed` has the resource.

    actions.subscribe("paid", [{"get-in": ["status"], "comparator": "eq", "value": "paid"}])
    """
    return schedule_task("awf.task/subscribe", label, {"select-by": [dict(rule) for rule in select_by]})


def complete(result: Any = None) -> Action:
    """End the workflow as succeeded and cancel its live activities. It must be the last action of a decision.

    actions.complete({"sent": True})
    """
    return _ending(COMPLETE, "result", result)


def fail(error: Any = None) -> Action:
    """End the workflow as failed and cancel its live activities. It must be the last action of a decision.

    actions.fail({"code": "out-of-stock"})
    """
    return _ending(FAIL, "error", error)


def unknown_error(error: Any = None) -> Action:
    """End the workflow as failed for an unknown reason; otherwise like `fail`.

    actions.unknown_error({"message": "unexpected event"})
    """
    return _ending(UNKNOWN_ERROR, "error", error)


def do_nothing() -> Action:
    """Wait for the next event, like the decision None.

    actions.do_nothing()
    """
    return {"action": DO_NOTHING}


def actions_of(decided: Any) -> list[Action]:
    """Return the decision of a decider as a list; raises TypeError unless it is None, an action or a list of them."""
    if decided is None:
        return [do_nothing()]
    actions = [decided] if isinstance(decided, Mapping) else decided
    if not isinstance(actions, list | tuple):
        raise TypeError(f"a decider returns None, an action or a list of actions, not {decided!r}")
    for action in actions:
        if not isinstance(action, Mapping) or not isinstance(action.get("action"), str):
            raise TypeError(f"a decider returns actions, such as actions.complete(), not {action!r}")
    return [dict(action) for action in actions]


def request_in(action: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the request of an action that starts an activity, else None.

    The vendor has `task-request` for child workflows too.
    """
    request = action.get("task-request") or action.get("workflow-request")
    return dict(request) if isinstance(request, Mapping) else None


def _request(definition: str, label: str, params: Any, execute_at: datetime | str | None) -> dict[str, Any]:
    if not isinstance(label, str) or not label:
        raise TypeError(f"an activity needs a label, a text that is unique within the workflow, not {label!r}")
    request: dict[str, Any] = {"definition": definition, "label": label}
    if params is not None:
        request["params"] = json_value(params, "$.params")
    if execute_at is not None:
        request["executeAt"] = timestamp(execute_at)
    return request


def _ending(action: str, member: str, payload: Any) -> Action:
    if isinstance(payload, str):
        # A string is a message, as in TaskFailed.
        payload = {"message": payload}
    return {"action": action} if payload is None else {"action": action, member: json_value(payload, f"$.{member}")}
