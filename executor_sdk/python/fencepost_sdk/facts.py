"""The input of a decider: an event, and the facts about its workflow and the activities of that.

The facts of a decision follow from the history of the workflow alone. For a decider an activity has ended when the
event of its end was delivered with this decision or an earlier one, even if it has ended since. So a recorded decision
can be replayed on the same facts at any later time.
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
    """An event of a workflow; `kind` is `init`, `task-completed`, `workflow-completed` or `signal`.

    The end of an activity has its `label`, its `outcome` (`succeeded`, `failed`, `canceled`) and its `task_id` or
    `workflow_id`. A signal has its `name` and `payload`, and its `signal_id` if it was sent with one.

        def decide(workflow: Facts, event: Event):
            if event.kind == "signal" and event.name == "stop":
                return actions.fail({"message": "stopped by a signal"})
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
    """A task or a workflow that a decider has started. `status` is `done` once its end was delivered, else `live`.

    A done activity has an `outcome` of `succeeded`, `failed` or `canceled`, and a `result` or an `error`. A failed one
    also has a `reason` with `type` and `message`.

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
        """Whether its end was delivered to the decider.

        done = Activity(id="1", label="picture", definition="demo/resize", status="done", outcome="failed").done
        """
        return self.status == "done"

    @property
    def succeeded(self) -> bool:
        """Whether its end was delivered with the outcome `succeeded`.

        good = Activity(id="1", label="picture", definition="demo/resize", status="done", outcome="succeeded").succeeded
        """
        return self.outcome == "succeeded"


class Facts(Generic[Params]):
    """A workflow as its decider sees it: `id`, `definition`, and the properties below.

    With the annotation `Facts[Order]` the params are decoded into that type: a dataclass, a TypedDict, a msgspec Struct
    or a pydantic model.

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
        """The params of the workflow.

        Facts("w-1", "demo/order", params={"width": 640}).params["width"]
        """
        params: Params = self._require("params", self._params)
        return params

    @property
    def label(self) -> str | None:
        """The label of the workflow, if any.

        Facts("w-1", "demo/order", label="order 17").label
        """
        label: str | None = self._require("label", self._label)
        return label

    @property
    def activities(self) -> Mapping[str, Activity]:
        """The activities by label, in the order in which they were started.

        Facts("w-1", "demo/order", activities={}).activities.get("picture")
        """
        activities: Mapping[str, Activity] = self._require("activities", self._activities)
        return activities

    def _require(self, name: str, value: Any) -> Any:
        if value is UNSET:
            raise RuntimeError(f"{self.definition} is registered with activities=False, so that its {name} is not read")
        return value


def read_event(params: Mapping[str, Any]) -> Event:
    """Return the event in the params of a decision task."""
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
    """Return the labels of the activities that a decision has started, and whether each is a workflow."""
    if decision.get("outcome") != "succeeded":
        return {}
    started = {}
    for index, action in enumerate(actions_of(decision.get("result"))):
        if (request := request_in(action)) is not None:
            started[request.get("label") or f"{decision['id']}/{index}"] = action["action"] == SCHEDULE_WORKFLOW
    return started


def activities_at(
    activities: Sequence[Mapping[str, Any]], decisions: Sequence[Mapping[str, Any]], number: int
) -> dict[str, Activity]:
    """Return the activities by label as the decider saw them at decision `number` of `decisions`."""
    before = {label for decision in decisions[:number] for label in labels_of(decision)}
    # Excludes activities of later decisions instead of including earlier ones, because old history may be deleted.
    later = {label for decision in decisions[number:] for label in labels_of(decision)} - before
    outcomes = {}
    for decision in decisions[: number + 1]:
        event = read_event(decision["params"])
        if event.outcome is not None:
            outcomes[event.task_id or event.workflow_id] = event.outcome
    found = [_activity(one, outcomes.get(one["id"])) for one in activities]
    return {activity.label: activity for activity in found if activity.label not in later}


def _activity(resource: Mapping[str, Any], outcome: str | None) -> Activity:
    # An activity that was retried after its end was delivered has another end or none; its first result is lost.
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
