"""What devices say of their tasks: the body of a report, and the message that carries one over a channel.

Members that a report does not need are left alone: devices send along what they know.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, NamedTuple, TypeGuard

import msgspec
import orjson
from msgspec import UNSET, Meta, Raw, UnsetType

from fencepost.domain.payload import object_text
from fencepost.domain.validation import refusal_of_struct
from fencepost.errors import invalid_params
from fencepost.vocabularies.devices.statuses import RESULTING_STATUS, TaskStatus, Verb

_TASK_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")
_VERBS: Mapping[str, Verb] = {
    "TASK_STARTED": "start",
    "TASK_COMPLETED": "complete",
    "TASK_REJECTED": "reject",
    "TASK_ABORTED": "abort",
    "TASK_FAILED": "fail",
}
Reason = Annotated[str, Meta(max_length=10_000)]


class Report(NamedTuple):
    """What is reported, and what goes with it: the result as JSON text, or the members of the error."""

    verb: Verb
    result: bytes | None = None
    error: Mapping[str, Any] = {}

    def content_from(self, status: TaskStatus) -> bytes | None:
        """Return what a task is given that stands so when the report comes: its result or its error, as JSON text.

        A task that is ended before it was started passes through the start all the same; its error says so.
        """
        if not self.error:
            return self.result
        return orjson.dumps({**self.error, "started": False} if status == "PENDING" else self.error)


class _Body(msgspec.Struct, frozen=True):
    reason: Reason | None = None
    fail_point: Raw | UnsetType = UNSET
    failPoint: Raw | UnsetType = UNSET  # noqa: N815 as the wire spells it
    result: Raw | UnsetType = UNSET


class _TaskState(msgspec.Struct, frozen=True):
    type: Literal["TASK_STARTED", "TASK_COMPLETED", "TASK_REJECTED", "TASK_ABORTED", "TASK_FAILED"]
    task_id: Any


def parse_report(verb: Verb, body: bytes) -> Report:
    """Return a report from its body, which may be empty; raise Refusal that names the member at fault."""
    text = body.strip() or b"{}"
    if not text.startswith(b"{"):
        raise invalid_params("Expected `object`", "$")
    try:
        said = _body.decode(text)
    except msgspec.ValidationError as error:
        raise refusal_of_struct(str(error), _Body) from None
    # A device that always sends both spellings leaves one of them null.
    fail_point = said.failPoint if _is_given(said.failPoint) else said.fail_point
    return report_of(verb, reason=said.reason, fail_point=fail_point, result=said.result)


def report_of(verb: Verb, *, reason: str | None, fail_point: Raw | UnsetType, result: Raw | UnsetType) -> Report:
    """Return a report with what belongs to one of its kind; raise Refusal for a result that is no object."""
    if verb == "start":
        return Report(verb)
    if verb == "complete":
        return Report(verb, object_text(result, "$.result"))
    content: dict[str, Any] = {"status": RESULTING_STATUS[verb]}
    if reason is not None:
        content["reason"] = reason
    if verb != "reject" and _is_given(fail_point):
        content["failPoint"] = orjson.Fragment(bytes(fail_point))
    return Report(verb, error=content)


def _is_given(value: Raw | UnsetType) -> TypeGuard[Raw]:
    return value is not UNSET and bytes(value) != b"null"


def parse_task_state(text: bytes) -> tuple[str, Report]:
    """Return the task and the report of a `task_state` message; its type decides, whatever its `task_type` says."""
    try:
        state = _task_state.decode(text)
    except msgspec.ValidationError as error:
        raise refusal_of_struct(str(error), _TaskState) from None
    return parse_task_id(state.task_id), parse_report(_VERBS[state.type], text)


def parse_task_id(said: object) -> str:
    """Return a task's id as devices may say it, as a number or with blanks around; raise Refusal for what is none."""
    id = str(said).strip() if isinstance(said, str | int) and not isinstance(said, bool) else ""
    if not _TASK_ID.fullmatch(id):
        raise invalid_params("Expected the id of a task: 1 to 128 letters, digits, `_` and `-`", "$.task_id")
    return id


_body = msgspec.json.Decoder(_Body)
_task_state = msgspec.json.Decoder(_TaskState)
