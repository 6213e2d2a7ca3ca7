"""The members of a rendered template, and the checks of their values."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from fencepost.domain.validation import refusal_of_struct
from fencepost.errors import Refusal, invalid_params
from fencepost.notation.text import INT64, BadText
from fencepost.notation.yaml import to_json
from fencepost.vocabularies.machines.images import is_image

_LONGEST_NAME = 199  # bytes
# Each decision reads all earlier actions of the workflow.
_MAX_ACTIONS = 1000
_LONGEST_WORKER = 1000  # bytes; longer names do not fit into an index

# In these templates every YAML scalar except null is read as text.
Text = str | None
Texts = list[Text] | None
Map = dict[str, Text] | None


class Action(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="kebab"):
    """One container that a worker runs."""

    name: Text = None
    image: Text = None
    timeout: Text = None
    command: Texts = None
    on_timeout: Texts = None
    on_failure: Texts = None
    volumes: Texts = None
    environment: Map = None
    pid: Text = None


class Task(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Actions on one worker, with the volumes and environment that they share."""

    name: Text = None
    worker: Text = None
    volumes: Texts = None
    environment: Map = None
    actions: list[Action] | None = None


class Template(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole template."""

    version: Text = None
    name: Text = None
    id: Text = None
    global_timeout: Text = None
    tasks: list[Task] | None = None


class NotYaml(Exception):
    """The text is not YAML; before rendering, that is not an error of the template."""


def read_template(text: str) -> Template:
    """Parse a template; raise NotYaml, or Refusal (`invalid-params`) with the field of the wrong member."""
    try:
        json = to_json(text.encode(), plain=True)
    except BadText as bad:
        raise NotYaml(bad.message) from None
    try:
        template: Template = _template.decode(json)
    except msgspec.ValidationError as error:
        raise _naming_members(refusal_of_struct(str(error), Template)) from None
    return template


def check_template(template: Template, *, is_rendered: bool) -> None:
    """Raise Refusal (`invalid-params`) with the field of the first error; unrendered values with `{{` are skipped."""
    check = _Checker(is_rendered)
    check.name(template.name, "name")
    seconds_of(template.global_timeout, "global_timeout", check.is_unrendered)
    if not template.tasks:
        raise invalid_params("at least one task is needed", "tasks")
    check.names([task.name for task in template.tasks], "tasks", "two tasks of a template")
    actions = 0
    for number, task in enumerate(template.tasks):
        field = f"tasks[{number}]"
        actions += len(task.actions or ())
        if actions > _MAX_ACTIONS:
            raise invalid_params(f"a template has at most {_MAX_ACTIONS} actions", f"{field}.actions")
        check.task(task, field)


def seconds_of(text: Text, field: str, is_unrendered: Callable[[Text], bool] = lambda _: False) -> int:
    """Return a number of seconds, 0 for none or an unrendered one; raise Refusal (`invalid-params`)."""
    if text is None or is_unrendered(text):
        return 0
    try:
        seconds = int(text) if len(text) <= 20 else None
    except ValueError:
        seconds = None
    if seconds is None or seconds not in INT64:
        raise invalid_params(f"must be a whole number of seconds, not {text[:40]!r}", field)
    return seconds


class _Checker:
    """The checks, before or after rendering."""

    def __init__(self, is_rendered: bool) -> None:
        self._is_rendered = is_rendered

    def is_unrendered(self, text: Text) -> bool:
        return not self._is_rendered and text is not None and "{{" in text

    def name(self, name: Text, field: str) -> None:
        if not name:
            raise invalid_params("must not be empty", field)
        if len(name.encode()) > _LONGEST_NAME and not self.is_unrendered(name):
            raise invalid_params(f"must be shorter than {_LONGEST_NAME + 1} bytes", field)

    def names(self, names: Iterable[Text], field: str, owners: str) -> None:
        seen: set[Text] = set()
        for number, name in enumerate(names):
            inner = f"{field}[{number}].name"
            self.name(name, inner)
            if name in seen and not self.is_unrendered(name):
                raise invalid_params(f"{owners} cannot have the same name: {name!r}", inner)
            seen.add(name)

    def task(self, task: Task, field: str) -> None:
        if not task.worker:
            raise invalid_params("must not be empty", f"{field}.worker")
        if task.worker and len(task.worker.encode()) > _LONGEST_WORKER and not self.is_unrendered(task.worker):
            raise invalid_params(f"must not be longer than {_LONGEST_WORKER} bytes", f"{field}.worker")
        actions = task.actions or []
        self.names([action.name for action in actions], f"{field}.actions", "two actions of a task")
        for number, action in enumerate(actions):
            inner = f"{field}.actions[{number}]"
            if not self.is_unrendered(action.image) and not is_image(action.image or ""):
                raise invalid_params(f"must name an image, not {(action.image or '')[:100]!r}", f"{inner}.image")
            seconds_of(action.timeout, f"{inner}.timeout", self.is_unrendered)


def _naming_members(refusal: Refusal) -> Refusal:
    refusal.message = refusal.message.replace("there is no param", "there is no member")
    return refusal


_template: msgspec.json.Decoder[Any] = msgspec.json.Decoder(Template)
