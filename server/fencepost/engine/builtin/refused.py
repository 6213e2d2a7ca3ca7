"""`awf.task/refused`: replaces an activity that could not start, so that it fails alone, with the reason."""

from __future__ import annotations

import msgspec
from msgspec import Raw

from fencepost.domain.actions import Request, ScheduleTask
from fencepost.domain.builtin import REFUSED
from fencepost.engine.builtin.execution import BuiltinExecution, read_params
from fencepost.errors import INVALID_ACTION, Refusal, Verbatim, path_of


class _Reason(msgspec.Struct, frozen=True, omit_defaults=True):
    reason: str
    path: str | None = None


async def refused(execution: BuiltinExecution) -> bytes:
    """Fail with the reason."""
    said = read_params(execution.params, _Reason)
    field = None if said.path is None else Verbatim(said.path)
    raise Refusal(INVALID_ACTION, field=field, reason=said.reason)


def instead_of(request: Request, refusal: Refusal) -> ScheduleTask:
    """Return the action that replaces a refused start."""
    path = None if refusal.field is None else path_of(refusal.field)
    params = msgspec.json.encode(_Reason(refusal.message, path))
    return ScheduleTask(task_request=Request(REFUSED, request.label, Raw(params)))
