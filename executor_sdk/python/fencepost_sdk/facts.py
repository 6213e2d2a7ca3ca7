"""What a decider is told: its workflow, what has been begun, how that ended, and what has just happened.

Facts are what the decider has been told so far. An activity has ended for it when the event of its end was handed to
it, with this decision or one before, whatever has happened meanwhile. So the facts of a decision follow from the
workflow's history alone, and the same decision can be made again, today or a year later, on the same facts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Generic, TypeVar, cast

from msgspec import UNSET, Struct, UnsetType

from fencepost_sdk.actions import SCHEDULE_WORKFLOW, actions_of, request_in

Params = TypeVar("Params")

_EVENT = "awf.workflow.event/"
_CHILD = "AidboxWorkflow"


class Event(Struct, frozen=True, kw_only=True):
    """What has happened: `kind` is `init`, `task-completed`, `workflow-completed` or `signal`.

    Of an end there are the activity's `label`, its `outcome` (`succeeded`, `failed`, `canceled`) and its `task_id` or
    `workflow_id`; of a signal its `name` and `payload`, and its `signal_id` if it came with one.

        def decide(workflow: Facts, event: Event):
            if event.kind == "signal" and event.name == "stop":
                return actions.fail({"message": "somebody said stop"})
    """

    kind: str
    label: str | None = None
    outcome: str | None = None
    task_id: str | None = None
    workflow_id: str | None = None
    name: str | None = None
    payload: Any = None
    signal_id: str | None = None


class Activity(Struct, frozen=True, kw_only=True):
    """A task or a workflow that a decider has begun: `live`, or `done` once the decider was told so.

    `outcome` is then `succeeded`, `failed` or `canceled`, and `result` or `error` what it ended with; what failed has a
    `reason` too, its `type` and `message`.

        def decide(workflow: Facts, event: Event):
            picture = workflow.activities.get("picture")
            if picture and picture.outcome == "succeeded":
                return actions.complete({"url": picture.result["url"]})
    """

    id: str
    label: str
    definition: str
    status: str = "live"
    outcome: str | None = None
    params: Any = None
    result: Any = None
    error: Any = None
    reason: dict[str, Any] | None = None
    is_workflow: bool = False

    @property
    def done(self) -> bool:
        """Whether the decider has been told of its end.

        done = Activity(id="1", label="picture", definition="demo/resize", status="done", outcome="failed").done
        """
        return self.status == "done"

    @property
    def succeeded(self) -> bool:
        """Whether the decider has been told that it ended well.

        good = Activity(id="1", label="picture", definition="demo/resize", status="done", outcome="succeeded").succeeded
        """
        return self.outcome == "succeeded"


class Facts(Generic[Params]):
    """A workflow as its decider has been told of it so far: `id`, `definition`, and the properties below.

    Annotated `Facts[Order]`, its params are read into that type: a dataclass, a TypedDict, a msgspec Struct.

        @worker.workflow("demo/order", declare=True)
        def decide(workflow: Facts, event: Event):
            if event.kind == "init":
                return actions.schedule_task("demo/resize", "picture", workflow.params)
            if all(activity.succeeded for activity in workflow.activities.values()):
                return actions.complete()
            return actions.fail(workflow.activities[event.label].error)
    """

    __slots__ = ("_activities", "_label", "_params", "definition", "id")

    def __init__(
        self,
        id: str,
        definition: str,
        *,
        params: Params | UnsetType = UNSET,
        label: str | UnsetType | None = UNSET,
        activities: Mapping[str, Activity] | UnsetType = UNSET,
    ) -> None:
        self.id = id
        self.definition = definition
        self._params = params
        self._label = label
        self._activities = activities

    @property
    def params(self) -> Params:
        """What the workflow was begun with.

        Facts("w-1", "demo/order", params={"width": 640}).params["width"]
        """
        params: Params = self._told("params", self._params)
        return params

    @property
    def label(self) -> str | None:
        """The label that the workflow was begun under, if any.

        Facts("w-1", "demo/order", label="order 17").label
        """
        label: str | None = self._told("label", self._label)
        return label

    @property
    def activities(self) -> Mapping[str, Activity]:
        """What has been begun, by label, in the order in which it was begun.

        Facts("w-1", "demo/order", activities={}).activities.get("picture")
        """
        activities: Mapping[str, Activity] = self._told("activities", self._activities)
        return activities

    def _told(self, name: str, said: Any) -> Any:
        if said is UNSET:
            raise RuntimeError(f"{self.definition} is registered with activities=False: nobody asked for its {name}")
        return said


def read_event(params: Mapping[str, Any]) -> Event:
    """Return the event that a decision task carries in its params."""
    kind = str(params["event"]).removeprefix(_EVENT)
    return Event(
        kind="init" if kind == "workflow-init" else kind,
        label=params.get("label"),
        outcome=params.get("outcome"),
        task_id=params.get("task-id"),
        workflow_id=params.get("workflow-id"),
        name=params.get("name"),
        payload=params.get("payload"),
        signal_id=params.get("signal-id"),
    )


def labels_of(decision: Mapping[str, Any]) -> dict[str, bool]:
    """Return the labels under which a decision has begun something, and whether that is a workflow."""
    if decision.get("outcome") != "succeeded":
        return {}
    begun = {}
    for index, action in enumerate(actions_of(decision.get("result"))):
        if (request := request_in(action)) is not None:
            begun[request.get("label") or f"{decision['id']}/{index}"] = action["action"] == SCHEDULE_WORKFLOW
    return begun


def activities_at(
    activities: Sequence[Mapping[str, Any]], decisions: Sequence[Mapping[str, Any]], number: int
) -> dict[str, Activity]:
    """Return what a decider had been told of activities at the decision `number` of `decisions`, itself included."""
    before = {label for decision in decisions[:number] for label in labels_of(decision)}
    # What was begun from here on, rather than what was begun before: the oldest decisions may be history that is gone.
    later = {label for decision in decisions[number:] for label in labels_of(decision)} - before
    outcomes = {}
    for decision in decisions[: number + 1]:
        event = read_event(decision["params"])
        if event.outcome is not None:
            outcomes[event.task_id or event.workflow_id] = event.outcome
    found = [_activity(one, outcomes.get(one["id"])) for one in activities]
    return {activity.label: activity for activity in found if activity.label not in later}


def _activity(resource: Mapping[str, Any], outcome: str | None) -> Activity:
    # One that was retried after its end was told has another end by now, or none: what it ended with then is gone.
    same = outcome is not None and resource.get("outcome") == outcome
    return Activity(
        id=resource["id"],
        label=cast(str, resource["label"]),
        definition=resource["definition"],
        status="live" if outcome is None else "done",
        outcome=outcome,
        params=resource.get("params"),
        result=resource.get("result") if same else None,
        error=resource.get("error") if same else None,
        reason=resource.get("outcomeReason") if same else None,
        is_workflow=resource.get("resourceType") == _CHILD,
    )
