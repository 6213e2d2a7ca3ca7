"""What a workflow of machines runs: its template, rendered for its hardware, as one list of actions."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple

import msgspec
import orjson
from msgspec import UNSET, Raw, UnsetType

from fencepost.domain.faults import fault_of_struct
from fencepost.domain.payload import object_text
from fencepost.errors import Refusal, invalid_params
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
    """One action, with what its task gives to it; `place` counts over the whole list.

    `volumes` are those of the task and behind them those of the action; in `merged_volumes` the action's stand for
    those of the task with the same beginning.
    """

    place: int
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
        """Everybody who has something to do, once."""
        return [*dict.fromkeys(step.worker for step in self.steps)]

    def find(self, task_name: str, action_name: str) -> Step | None:
        """Return the action of these names, which are its own."""
        return next((step for step in self.steps if (step.task_name, step.name) == (task_name, action_name)), None)


class Params(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a workflow of machines begins with: the data that its template is rendered with."""

    hardware: Raw | UnsetType = UNSET


def check_source(source: str) -> None:
    """Raise Refusal for a template that can never be rendered well; paths go on into the text from `$.template`."""
    try:
        template = parsed_template(source)
    except BadTemplate as bad:
        raise invalid_params(str(bad), "$.template") from None
    # With `{{ if … }}` in a comment it is YAML before it is rendered, and not all of what is judged then will be there.
    if template.has_conditional_lines:
        return
    try:
        check_template(read_template(source), is_rendered=False)
    except NotYaml as bad:
        if template.is_plain:
            raise invalid_params(str(bad), "$.template") from None
    except Refusal as refusal:
        raise invalid_params(refusal.message, "$.template" + (refusal.at or "$")[1:]) from None


def hardware_of(params: bytes | None) -> bytes:
    """Return the JSON text of the hardware that a workflow begins with; raise Refusal with paths from its request."""
    try:
        said = msgspec.json.decode(params or b"{}", type=Params)
    except msgspec.ValidationError as error:
        fault = fault_of_struct(str(error), Params)
        raise invalid_params(fault.message, "$.params" + (fault.at or "$")[1:]) from None
    return object_text(said.hardware, "$.params.hardware") or b"{}"


def plan_of(source: str, params: bytes | None) -> Plan:
    """Render and check; raise Refusal that names the hardware, and in its message the place in the template."""
    hardware = hardware_of(params)
    try:
        return _plan(source, hardware)
    except (BadTemplate, NotYaml) as bad:
        raise invalid_params(f"the template cannot be rendered with it: {bad}", "$.params.hardware") from None
    except Refusal as refusal:
        reason = f"in the rendered template, {(refusal.at or '$').removeprefix('$.')}: {refusal.message}"
        raise invalid_params(reason, "$.params.hardware") from None


@lru_cache(maxsize=256)
def _plan(source: str, hardware: bytes) -> Plan:
    """Render; what is decided about a workflow again and again is rendered once."""
    text = parsed_template(source).render(orjson.loads(hardware))
    template = read_template(text)
    check_template(template, is_rendered=True)
    return Plan(text, seconds_of(template.global_timeout, "$.global_timeout"), _flat(template))


def _flat(template: Template) -> tuple[Step, ...]:
    steps: list[Step] = []
    for task in template.tasks or ():
        first = len(steps)
        steps += [_step(first + number, task, action) for number, action in enumerate(task.actions or ())]
    return tuple(steps)


def _step(place: int, task: Task, action: Action) -> Step:
    shared, own = _texts(task.volumes), _texts(action.volumes)
    merged = {volume.partition(":")[0]: volume for volume in (*shared, *own)}
    environment = {**_map(task.environment), **_map(action.environment)}
    return Step(
        place=place,
        task_name=task.name or "",
        name=action.name or "",
        image=action.image or "",
        timeout=seconds_of(action.timeout, "$"),
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
