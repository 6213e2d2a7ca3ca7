"""Deciders: reads the signature of a function and builds the arguments for it from a decision task."""

from __future__ import annotations

import inspect
from typing import Any, get_args, get_origin, get_type_hints

import msgspec

from fencepost_sdk.actions import Action, actions_of
from fencepost_sdk.facts import Activity, Event, Facts, activities_at, read_event
from fencepost_sdk.handlers import Function, Handler, is_async, read_as
from fencepost_sdk.protocol import ClaimedTask
from fencepost_sdk.workflow_reader import WorkflowReader

INIT = "init"


class Decider(Handler):
    """A function `decide(workflow, event)` for the workflows of one definition.

    With `activities` its facts have the params, the label and the activities of the workflow, otherwise only the id.
    """

    def __init__(self, definition: str, function: Function, *, activities: bool = True) -> None:
        self.definition = definition
        self.function = function
        self.is_async = is_async(function)
        self.wants_context = False
        self.wants_activities = activities
        self._read = read_as(definition, _params_type(function))

    async def prepare(self, task: ClaimedTask, reader: WorkflowReader) -> tuple[Any, ...]:
        """Return the arguments for the decider, after a read of the workflow; raises TaskFailed or RpcError."""
        workflow = (task.requester or {}).get("id", "")
        event = read_event(msgspec.json.decode(task.params))
        if not self.wants_activities:
            # `Facts[Any](…)` would be ten times as slow.
            facts: Facts[Any] = Facts(workflow, self.definition)
            return facts, event
        # There are no activities before the first decision.
        status = await reader.read(workflow, activities=event.kind != INIT)
        decisions = status.get("decisions", [])
        number = next((index for index, one in enumerate(decisions) if one["id"] == task.id), len(decisions))
        return self.facts(status["resource"], activities_at(status.get("activities", []), decisions, number)), event

    def facts(self, resource: dict[str, Any], activities: dict[str, Activity]) -> Facts[Any]:
        """Return the facts about a workflow; raises TaskFailed for params that do not fit the annotation."""
        return Facts(
            resource["id"],
            resource["definition"],
            params=self.read_params(resource.get("params")),
            label=resource.get("label"),
            activities=activities,
        )

    def read_params(self, params: Any) -> Any:
        """Return params decoded into the type of the annotation; raises TaskFailed if they do not fit."""
        return self.read(msgspec.json.encode(params))

    def outcome(self, returned: Any) -> list[Action]:
        """Return the actions for a value that the decider returned; raises TypeError for any other value."""
        return actions_of(returned)


def _params_type(function: Function) -> Any:
    """Return the type in the annotation `Facts[Type]`; raises TypeError for a function that cannot be a decider."""
    name = getattr(function, "__qualname__", repr(function))
    parameters = list(inspect.signature(function).parameters.values())
    needed = [one for one in parameters if one.default is one.empty and one.kind is not one.VAR_POSITIONAL]
    if len(parameters) < 2 or len(needed) > 2 or any(one.kind is one.KEYWORD_ONLY for one in needed):
        raise TypeError(f"{name}: a decider takes two parameters, the workflow and the event")
    try:
        hints = get_type_hints(function) if hasattr(function, "__annotations__") else {}
    except NameError as error:
        raise TypeError(f"{name}: cannot resolve its annotations ({error}); define the type in the module") from error
    for parameter, ours in zip(parameters, (Facts, Event), strict=False):
        hint = hints.get(parameter.name, Any)
        if hint is not Any and hint is not ours and get_origin(hint) is not ours:
            raise TypeError(f"{name}: a decider takes Facts and an Event; {parameter.name} is annotated {hint!r}")
    of_workflow = hints.get(parameters[0].name)
    return get_args(of_workflow)[0] if get_origin(of_workflow) is Facts else Any
