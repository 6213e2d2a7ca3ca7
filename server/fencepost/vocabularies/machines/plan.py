"""The plan of a machine workflow: its template, rendered for its hardware, as one list of actions."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple

import msgspec
import orjson
from msgspec import UNSET, Raw, UnsetType

from fencepost.domain.payload import object_text
from fencepost.domain.validation import refusal_of_struct
from fencepost.errors import Refusal, invalid_params, path_of
from fencepost.vocabularies.machines.template import (
    Action,
    Map,
    NotYaml,
    Task,
    Template,
    Texts,
    check_template,
    read_template,
    seconds_of,
)
from fencepost.vocabularies.machines.templating.lexer import BadTemplate
from fencepost.vocabularies.machines.templating.rendering import parsed_template


class Step(NamedTuple):
    """One action, merged with the members of its task; `action_index` counts over all tasks, from 0.

    `volumes` has the volumes of the task, then those of the action. In `merged_volumes` a volume of the action replaces
    the task's volume with the same host path. `timeout` is in seconds, 0 for none.
    """

    action_index: int
    task_name: str
    name: str
    image: str
    timeout: int
    command: tuple[str, ...]
    on_timeout: tuple[str, ...]
    on_failure: tuple[str, ...]
    worker: str
    volumes: tuple[str, ...]
    merged_volumes: tuple[str, ...]
    environment: tuple[str, ...]
    pid: str


class Plan(NamedTuple):
    """A rendered template: its text, its time limit in seconds (0 for none), and its actions in order."""

    text: str
    global_timeout: int
    steps: tuple[Step, ...]

    @property
    def workers(self) -> list[str]:
        """The workers of all actions, each once, in order."""
        return [*dict.fromkeys(step.worker for step in self.steps)]

    def find(self, task_name: str, action_name: str) -> Step | None:
        """Return the action with these names, which are unique in a plan, or None."""
        return next((step for step in self.steps if (step.task_name, step.name) == (task_name, action_name)), None)


class Params(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Params of a machine workflow: the data for rendering its template."""

    hardware: Raw | UnsetType = UNSET


def check_source(source: str) -> None:
    """Raise Refusal (`invalid-params`) for a template that is wrong for any hardware; the field is in `template`."""
    try:
        template = parsed_template(source)
    except BadTemplate as bad:
        raise invalid_params(str(bad), "template") from None
    # A conditional in a YAML comment leaves valid YAML that has lines of both branches, so it cannot be checked yet.
    if template.has_conditional_lines:
        return
    try:
        check_template(read_template(source), is_rendered=False)
    except NotYaml as bad:
        if template.is_plain:
            raise invalid_params(str(bad), "template") from None
    except Refusal as refusal:
        raise refusal.within("template") from None


def hardware_of(params: bytes | None) -> bytes:
    """Return the hardware in the params of a workflow, as JSON text; raise Refusal (`invalid-params`)."""
    try:
        decoded = msgspec.json.decode(params or b"{}", type=Params)
    except msgspec.ValidationError as error:
        raise refusal_of_struct(str(error), Params).within("params") from None
    return object_text(decoded.hardware, "params.hardware") or b"{}"


def plan_of(source: str, params: bytes | None) -> Plan:
    """Render a template for the params of a workflow, and check the result.

    Raises Refusal (`invalid-params`) for `params.hardware`; its message has the location in the template.
    """
    hardware = hardware_of(params)
    try:
        return _rendered(source, hardware)
    except (BadTemplate, NotYaml) as bad:
        raise invalid_params(f"the template cannot be rendered with it: {bad}", "params.hardware") from None
    except Refusal as refusal:
        reason = f"in the rendered template, {path_of(refusal.field or '').removeprefix('$.')}: {refusal.message}"
        raise invalid_params(reason, "params.hardware") from None


@lru_cache(maxsize=256)
def _rendered(source: str, hardware: bytes) -> Plan:
    """Render a template; cached, because each decision about a workflow needs its plan."""
    text = parsed_template(source).render(orjson.loads(hardware))
    template = read_template(text)
    check_template(template, is_rendered=True)
    return Plan(text, seconds_of(template.global_timeout, "global_timeout"), _steps(template))


def _steps(template: Template) -> tuple[Step, ...]:
    steps: list[Step] = []
    for task in template.tasks or ():
        first = len(steps)
        steps += [_step(first + number, task, action) for number, action in enumerate(task.actions or ())]
    return tuple(steps)


def _step(index: int, task: Task, action: Action) -> Step:
    shared, own = _texts(task.volumes), _texts(action.volumes)
    merged = {volume.partition(":")[0]: volume for volume in (*shared, *own)}
    environment = {**_map(task.environment), **_map(action.environment)}
    return Step(
        action_index=index,
        task_name=task.name or "",
        name=action.name or "",
        image=action.image or "",
        timeout=seconds_of(action.timeout, ""),
        command=_texts(action.command),
        on_timeout=_texts(action.on_timeout),
        on_failure=_texts(action.on_failure),
        worker=task.worker or "",
        volumes=shared + own,
        merged_volumes=tuple(merged.values()),
        environment=tuple(f"{name}={environment[name]}" for name in sorted(environment)),
        pid=action.pid or "",
    )


def _texts(texts: Texts) -> tuple[str, ...]:
    return tuple(text or "" for text in texts or ())


def _map(values: Map) -> Mapping[str, Any]:
    return {name: value or "" for name, value in (values or {}).items()}
