"""What a decider may decide: functions that write the actions of a decision.

schedule_task, schedule_workflow, wait, subscribe    begin something, under a label
complete, fail, unknown_error                        end the workflow
do_nothing                                           wait for the next event

An action is a plain dict as the wire has it, so that decisions can be compared. Each of the first four needs a label,
unique within the workflow: the same content again under the same label begins nothing, which is what makes a decision
that is made twice do its work once. Other content under a label that was used is refused.
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
    """Begin a task; `params` is anything that makes a JSON object, `execute_at` needs a timezone.

    actions.schedule_task("demo/resize", "small", {"width": 320})
    """
    return {"action": SCHEDULE_TASK, "task-request": _request(definition, label, params, execute_at)}


def schedule_workflow(
    definition: str, label: str, params: Any = None, *, execute_at: datetime | str | None = None
) -> Action:
    """Begin a workflow as part of this one: canceled with it, and its end is an event.

    actions.schedule_workflow("demo/shipping", "parcel-1", {"weight": 3})
    """
    return {"action": SCHEDULE_WORKFLOW, "workflow-request": _request(definition, label, params, execute_at)}


def wait(label: str, duration: timedelta | None = None, *, until: datetime | str | None = None) -> Action:
    """Hear `task-completed` under this label when the time has passed; the server waits, no worker does.

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
    """Hear `task-completed` under this label when a resource is saved that all these rules fit; its result has it.

    actions.subscribe("paid", [{"get-in": ["status"], "comparator": "eq", "value": "paid"}])
    """
    return schedule_task("awf.task/subscribe", label, {"select-by": [dict(rule) for rule in select_by]})


def complete(result: Any = None) -> Action:
    """End the workflow as succeeded; what is still live of it is canceled. Nothing may follow it in a decision.

    actions.complete({"sent": True})
    """
    return _ending(COMPLETE, "result", result)


def fail(error: Any = None) -> Action:
    """End the workflow as failed; what is still live of it is canceled. Nothing may follow it in a decision.

    actions.fail({"code": "out-of-stock"})
    """
    return _ending(FAIL, "error", error)


def unknown_error(error: Any = None) -> Action:
    """End the workflow as failed for a reason that the decider does not know; otherwise as `fail`.

    actions.unknown_error({"message": "an event that nobody expects"})
    """
    return _ending(UNKNOWN_ERROR, "error", error)


def do_nothing() -> Action:
    """Wait for the next event; the same as deciding None.

    actions.do_nothing()
    """
    return {"action": DO_NOTHING}


def actions_of(decided: Any) -> list[Action]:
    """Return what a decider returned as a list; raise TypeError when it is neither None, an action nor several."""
    if decided is None:
        return [do_nothing()]
    several = [decided] if isinstance(decided, Mapping) else decided
    if not isinstance(several, list | tuple):
        raise TypeError(f"a decider returns None, an action or a list of actions, not {decided!r}")
    for action in several:
        if not isinstance(action, Mapping) or not isinstance(action.get("action"), str):
            raise TypeError(f"a decider returns actions, such as actions.complete(), not {action!r}")
    return [dict(action) for action in several]


def request_in(action: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return what an action begins; None for one that begins nothing. The vendor's word is always `task-request`."""
    request = action.get("task-request") or action.get("workflow-request")
    return dict(request) if isinstance(request, Mapping) else None


def _request(definition: str, label: str, params: Any, execute_at: datetime | str | None) -> dict[str, Any]:
    if not isinstance(label, str) or not label:
        raise TypeError(f"what is begun needs a label, a text that is unique within the workflow, not {label!r}")
    request: dict[str, Any] = {"definition": definition, "label": label}
    if params is not None:
        request["params"] = json_value(params, "$.params")
    if execute_at is not None:
        request["executeAt"] = timestamp(execute_at)
    return request


def _ending(action: str, member: str, said: Any) -> Action:
    if isinstance(said, str):
        # As TaskFailed takes a sentence.
        said = {"message": said}
    return {"action": action} if said is None else {"action": action, member: json_value(said, f"$.{member}")}
