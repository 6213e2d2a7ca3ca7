"""The body of a produce call: a flow of stages of tasks with their options, and the checks of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, Raw, UnsetType

from fencepost.domain.definition import OWN, Milliseconds, Name
from fencepost.domain.limits import LONGEST_MS, MOST_RETRIES
from fencepost.domain.payload import object_text
from fencepost.errors import invalid_params
from fencepost.vocabularies.taskflow.placeholders import placeholder_paths

MAX_STAGES = 200
# One decision begins all tasks of a stage, and each of them carries the responses of all tasks of the stage before.
MAX_TASKS = 200
# Bytes of params and responses that the tasks of a stage carry in all: bounds the size of a decision and of a poll.
MAX_CARRIED_BYTES = 16 << 20

TaskType = Literal["ACTION", "CHANNEL", "WORKFLOW"]
Title = Annotated[str, Meta(min_length=1, max_length=700)]
# One segment of a definition's name.
NamePart = Annotated[
    str, Meta(pattern=r"^[A-Za-z0-9_.-]{1,100}\Z", description="1 to 100 letters, digits, `_`, `.` or `-`")
]
JsonObject = Annotated[Raw, Meta(extra_json_schema={"type": "object"})]
_Limit = Annotated[int, Meta(ge=1, le=LONGEST_MS)]
_CHANNEL = "channel"


class FlowOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, rename="camel"):
    """Execution options of tasks; the options of a flow are the defaults of its tasks. Times are in ms."""

    max_age: (
        Annotated[_Limit, Meta(description="ms in which an attempt must begin; a flow ends with it")] | UnsetType
    ) = UNSET
    timeout: Annotated[_Limit, Meta(description="ms that one attempt may last")] | UnsetType = UNSET
    retry_delay: Annotated[Milliseconds, Meta(description="ms between a failed attempt and the next")] | UnsetType = (
        UNSET
    )
    max_retries: Annotated[int, Meta(ge=0, le=MOST_RETRIES, description="attempts after the first")] | UnsetType = UNSET
    continue_on_task_failure: Annotated[bool, Meta(description="a failed task does not stop the flow")] | UnsetType = (
        UNSET
    )
    exactly_once_task_execution: (
        Annotated[bool, Meta(description="a retry of the flow does not execute tasks that succeeded")] | UnsetType
    ) = UNSET
    exactly_once_execution: (
        Annotated[bool, Meta(description="another name of exactlyOnceTaskExecution")] | UnsetType
    ) = UNSET

    def __post_init__(self) -> None:
        """Move `exactlyOnceExecution` to its other name, `exactlyOnceTaskExecution`."""
        value, other = self.exactly_once_task_execution, self.exactly_once_execution
        if other is UNSET:
            return
        if value is not UNSET and value is not other:
            raise ValueError("exactlyOnceExecution and exactlyOnceTaskExecution are two names of one option")
        msgspec.structs.force_setattr(self, "exactly_once_task_execution", other)
        msgspec.structs.force_setattr(self, "exactly_once_execution", UNSET)

    def under(self, own: FlowOptions) -> FlowOptions:
        """Return these options, overridden by those of a task."""
        return FlowOptions(**{**_given_members(self), **_given_members(own)})


class TaskDetails(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, rename="camel"):
    """The executor of a task: an action of a service, a channel, or a workflow."""

    service_id: NamePart | UnsetType = UNSET
    action_name: NamePart | UnsetType = UNSET
    channel_name: NamePart | UnsetType = UNSET
    definition: Name | UnsetType = UNSET


_REQUIRED_DETAILS: dict[str, tuple[str, ...]] = {
    "ACTION": ("service_id", "action_name"),
    "CHANNEL": ("channel_name",),
    "WORKFLOW": ("definition",),
}
_ATTEMPT_OPTIONS = {"max_age", "timeout", "retry_delay", "max_retries"}


class FlowTask(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, rename="camel", kw_only=True
):
    """A task of a stage."""

    name: Title
    type: TaskType
    task_details: TaskDetails
    params: JsonObject | UnsetType = UNSET
    options: FlowOptions = FlowOptions()

    def __post_init__(self) -> None:
        """Treat null as absent."""
        drop_nulls(self, "params")

    @property
    def definition(self) -> str:
        """The name of the definition of the core task or of the child workflow."""
        details = self.task_details
        match self.type:
            case "ACTION":
                return f"{details.service_id}/{details.action_name}"
            case "CHANNEL":
                return f"{_CHANNEL}/{details.channel_name}"
        assert details.definition is not UNSET, "it was checked"
        return details.definition

    @property
    def params_text(self) -> bytes:
        """The params as JSON text."""
        return b"{}" if self.params is UNSET else bytes(self.params)


class FlowStage(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Tasks that run side by side, after all tasks of the stage before have ended."""

    name: Title
    tasks: Annotated[tuple[FlowTask, ...], Meta(min_length=1, max_length=MAX_TASKS)]


class Flow(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """A flow. `meta` is the meta of the task that the producer handles; it names the parent of a nested flow."""

    name: Title | UnsetType = UNSET
    options: FlowOptions = FlowOptions()
    context: Annotated[JsonObject, Meta(description="free data about the flow")] | UnsetType = UNSET
    stages: Annotated[tuple[FlowStage, ...], Meta(min_length=1, max_length=MAX_STAGES)]
    meta: JsonObject | UnsetType = UNSET

    def __post_init__(self) -> None:
        """Treat null as absent."""
        drop_nulls(self, "context", "meta")

    def check(self) -> None:
        """Raise Refusal (`invalid-params`) for a flow that cannot run."""
        object_text(self.context, "context")
        object_text(self.meta, "meta")
        check_stages(self.stages)


def drop_nulls(struct: msgspec.Struct, *names: str) -> None:
    """Replace null members by UNSET, so that a reader finds an object or nothing."""
    for name in names:
        value = getattr(struct, name)
        if isinstance(value, Raw) and bytes(value) == b"null":
            msgspec.structs.force_setattr(struct, name, UNSET)


def check_stages(stages: Sequence[FlowStage]) -> None:
    """Raise Refusal (`invalid-params`), with a field of the flow, for stages that cannot run."""
    for number, stage in enumerate(stages):
        for index, task in enumerate(stage.tasks):
            place = f"stages[{number}].tasks[{index}]"
            _check_details(task, place)
            _check_options(task, f"{place}.options")
            object_text(task.params, f"{place}.params")
            _check_placeholders(task, stages[:number], f"{place}.params")


def _check_details(task: FlowTask, place: str) -> None:
    given, needed = set(_given_members(task.task_details)), _REQUIRED_DETAILS[task.type]
    for name in needed:
        if name not in given:
            wire = _wire_name(TaskDetails, name)
            raise invalid_params(f"{task.type} needs {wire!r}", f"{place}.taskDetails.{wire}")
    for name in sorted(given.difference(needed)):
        wire = _wire_name(TaskDetails, name)
        raise invalid_params(f"{task.type} has no {wire!r}", f"{place}.taskDetails.{wire}")
    if task.type == "ACTION" and task.definition.startswith(OWN):
        raise invalid_params(f"{task.definition!r} is the server's own", f"{place}.taskDetails.serviceId")


def _check_options(task: FlowTask, place: str) -> None:
    """Refuse attempt options on a task that is a workflow; those that it inherits from the flow are ignored."""
    if task.type == "WORKFLOW":
        for name in sorted(_ATTEMPT_OPTIONS.intersection(_given_members(task.options))):
            wire = _wire_name(FlowOptions, name)
            raise invalid_params(f"a WORKFLOW has no {wire!r}: its own definition sets it", f"{place}.{wire}")


def _check_placeholders(task: FlowTask, before: Sequence[FlowStage], place: str) -> None:
    """Refuse an ambiguous placeholder: two stages before, or two tasks of the stage, have the name."""
    stages = Counter(stage.name for stage in before)
    for path in placeholder_paths(task.params_text):
        if stages[path[0]] > 1:
            raise invalid_params(f"{stages[path[0]]} stages before are called {path[0]!r}", place)
        stage = next((stage for stage in before if stage.name == path[0]), None)
        if stage is not None and sum(task.name == name for task in stage.tasks for name in path[1:2]) > 1:
            raise invalid_params(f"several tasks of stage {path[0]!r} are called {path[1]!r}", place)


def _given_members(struct: msgspec.Struct) -> dict[str, Any]:
    return {name: value for name, value in msgspec.structs.asdict(struct).items() if value is not UNSET}


def _wire_name(struct: type[msgspec.Struct], name: str) -> str:
    return next(field.encode_name for field in msgspec.structs.fields(struct) if field.name == name)
