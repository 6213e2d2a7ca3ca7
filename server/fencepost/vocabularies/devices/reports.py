"""Reports of devices about their tasks: the body of a request, and the `task_state` message of a channel.

Over HTTP and channels, members that a report does not need are ignored: devices send everything that they know.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, NamedTuple

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
    """A report: its verb, and the result (JSON text) or the members of the error."""

    verb: Verb
    result: bytes | None = None
    error: Mapping[str, Any] = {}

    def content_from(self, status: TaskStatus) -> bytes | None:
        """Return the result or the error of a task that has this status when the report arrives, as JSON text.

        A task that ends before its start is started and ended in one transition; the error has `started: false`.
        """
        if not self.error:
            return self.result
        return orjson.dumps({**self.error, "started": False} if status == "PENDING" else self.error)


class ReportBody(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """The members of a report, by RPC, HTTP or channel."""

    reason: Annotated[Reason, Meta(description="of a rejection or an abort")] | None = None
    fail_point: Annotated[Raw, Meta(description="of an abort: where to resume, in any form")] | UnsetType = UNSET
    result: Annotated[Raw, Meta(description="of a completion", extra_json_schema={"type": "object"})] | UnsetType = (
        UNSET
    )

    def to_report(self, verb: Verb) -> Report:
        """Return the report with the members that its verb takes; raise Refusal for a result that is not an object."""
        if verb == "start":
            return Report(verb)
        if verb == "complete":
            return Report(verb, object_text(self.result, "result"))
        content: dict[str, Any] = {"status": RESULTING_STATUS[verb]}
        if self.reason is not None:
            content["reason"] = self.reason
        fail_point = self.given_fail_point
        if verb != "reject" and fail_point is not None:
            content["failPoint"] = orjson.Fragment(bytes(fail_point))
        return Report(verb, error=content)

    @property
    def given_fail_point(self) -> Raw | None:
        """The fail point, None when it is absent or null."""
        return _given(self.fail_point)


class DeviceReport(ReportBody, frozen=True, rename="camel", kw_only=True):
    """The body of a report over HTTP; the fail point has two spellings. Other members are ignored."""

    snake_fail_point: Annotated[Raw, Meta(description="another name of `failPoint`")] | UnsetType = msgspec.field(
        name="fail_point", default=UNSET
    )

    @property
    def given_fail_point(self) -> Raw | None:
        """The fail point in either spelling; a device that sends both leaves one of them null."""
        return _given(self.fail_point) or _given(self.snake_fail_point)


class DeviceTaskState(DeviceReport, frozen=True, rename="camel", kw_only=True):
    """A `task_state` message: a report that names its task and its verb."""

    type: Literal["TASK_STARTED", "TASK_COMPLETED", "TASK_REJECTED", "TASK_ABORTED", "TASK_FAILED"]
    task_id: Annotated[Any, Meta(extra_json_schema={"type": ["string", "integer"]})] = msgspec.field(name="task_id")


def parse_report(verb: Verb, body: bytes) -> Report:
    """Parse the body of a report, which may be empty; raise Refusal (`invalid-params`) that names the member."""
    text = body.strip() or b"{}"
    if not text.startswith(b"{"):
        raise invalid_params("Expected `object`", "")
    try:
        return _report.decode(text).to_report(verb)
    except msgspec.ValidationError as error:
        raise refusal_of_struct(str(error), DeviceReport) from None


def parse_task_state(text: bytes) -> tuple[str, Report]:
    """Parse a `task_state` message into the id of the task and the report; its `type` decides, not its `task_type`."""
    try:
        state = _task_state.decode(text)
    except msgspec.ValidationError as error:
        raise refusal_of_struct(str(error), DeviceTaskState) from None
    return parse_task_id(state.task_id), state.to_report(_VERBS[state.type])


def _given(value: Raw | UnsetType) -> Raw | None:
    return None if value is UNSET or bytes(value) == b"null" else value


def parse_task_id(value: object) -> str:
    """Return a task id that may be a number or have blanks around it; raise Refusal (`invalid-params`)."""
    id = str(value).strip() if isinstance(value, str | int) and not isinstance(value, bool) else ""
    if not _TASK_ID.fullmatch(id):
        raise invalid_params("Expected the id of a task: 1 to 128 letters, digits, `_` and `-`", "task_id")
    return id


_report = msgspec.json.Decoder(DeviceReport)
_task_state = msgspec.json.Decoder(DeviceTaskState)
