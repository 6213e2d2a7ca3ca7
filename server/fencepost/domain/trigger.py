"""Triggers: documents that start a task or workflow for each event that matches."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

import msgspec
import orjson
from msgspec import UNSET, Meta

from fencepost.domain import lossless_json
from fencepost.domain.actions import Request
from fencepost.domain.matching import MISSING, Rule, value_in
from fencepost.domain.payload import object_text
from fencepost.domain.start_document import StartDocument
from fencepost.domain.times import time_text
from fencepost.errors import invalid_params

_HOLE = "get-in"
_MOST_STEPS = 32


class TriggerDefinition(
    StartDocument, frozen=True, forbid_unknown_fields=True, rename="kebab", tag_field="kind", tag="trigger"
):
    """A document of `kind: trigger`: rules for resources, and the request that a match starts."""

    kind: ClassVar[str] = "trigger"
    select_by: Annotated[tuple[Rule, ...], Meta(min_length=1, max_length=32, description="rules; all must match")]

    def compile(self) -> None:
        """Raise Refusal (`invalid-params`) unless it has exactly one request, with a valid time and params."""
        super().compile()
        field = self.request_member
        time_text(self.request.execute_at, f"{field}.executeAt")
        params = object_text(self.request.params, f"{field}.params")
        if params is not None:
            _check_holes(lossless_json.read(params), f"{field}.params")

    def requested(self, resource: Any, *, most_bytes: int) -> Request:
        """Return the request for a resource that `domain.lossless_json` has parsed, with its holes filled.

        Raises Refusal (`invalid-params`) when that adds more than `most_bytes`: a short template can insert the whole
        resource many times.
        """
        if self.request.params is UNSET:
            return self.request
        template = lossless_json.read(bytes(self.request.params))
        params = lossless_json.write(_Filling(resource, most_bytes).of(template))
        return msgspec.structs.replace(self.request, params=msgspec.Raw(params))


class _Filling:
    """Fills the holes of a template, each with the value at its path in the resource, or null without a value."""

    def __init__(self, resource: Any, most_bytes: int) -> None:
        self._resource = resource
        self._most = self._left = most_bytes

    def of(self, value: Any) -> Any:
        """Return a part of the template without holes."""
        if _is_hole(value):
            return self._found(value[_HOLE])
        if isinstance(value, dict):
            return {name: self.of(member) for name, member in value.items()}
        if isinstance(value, list):
            return [self.of(item) for item in value]
        return value

    def _found(self, path: list[str | int]) -> orjson.Fragment:
        found = value_in(self._resource, path)
        text = lossless_json.write(None if found is MISSING else found)
        self._left -= len(text)
        if self._left < 0:
            raise invalid_params(f"more than {self._most} bytes would be filled in", "params")
        return orjson.Fragment(text)


def _is_hole(value: Any) -> bool:
    return isinstance(value, dict) and value.keys() == {_HOLE}


def _check_holes(value: Any, field: str) -> None:
    if _is_hole(value):
        path = value[_HOLE]
        if not isinstance(path, list) or len(path) > _MOST_STEPS or not all(map(_is_step, path)):
            reason = f"Expected a path of at most {_MOST_STEPS} member names and places in arrays, such as [data, id]"
            raise invalid_params(reason, f"{field}.{_HOLE}")
    elif isinstance(value, dict):
        for name, member in value.items():
            _check_holes(member, f"{field}.{name}")
    elif isinstance(value, list):
        for place, item in enumerate(value):
            _check_holes(item, f"{field}[{place}]")


def _is_step(step: Any) -> bool:
    return isinstance(step, str) or (isinstance(step, int) and not isinstance(step, bool) and step >= 0)
