"""`awf.task/refused`: replaces an activity that could not start, so that it fails alone, with the reason."""

from __future__ import annotations

import msgspec
from msgspec import Raw

from fencepost.domain.actions import Request, ScheduleTask
from fencepost.domain.builtin import REFUSED
from fencepost.engine.builtin.execution import BuiltinExecution, read_params
from fencepost.errors import INVALID_ACTION, Refusal


class _Reason(msgspec.Struct, frozen=True, omit_defaults=True):
    reason: str
    path: str | None = None


async def refused(execution: BuiltinExecution) -> bytes:
    """Fail with the reason."""
    said = read_params(execution.params, _Reason)
    raise Refusal(INVALID_ACTION, at=said.path, reason=said.reason)


def instead_of(request: Request, refusal: Refusal) -> ScheduleTask:
    """Return the action that replaces a refused start."""
    params = msgspec.json.encode(_Reason(refusal.message, refusal.at))
    return ScheduleTask(task_request=Request(REFUSED, request.label, Raw(params)))
