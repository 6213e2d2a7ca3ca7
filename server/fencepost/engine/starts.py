"""Requests to start something, as decisions, schedules and triggers make them, checked before anything is done."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol, TypeVar
from uuid import uuid4

from fencepost.domain.actions import Request
from fencepost.domain.builtin import hold_of
from fencepost.domain.definition import TaskDefinition, Work, WorkflowDefinition
from fencepost.domain.payload import object_text
from fencepost.domain.times import time_text
from fencepost.errors import UNAVAILABLE, Refusal
from fencepost.store.starts import Start

W = TypeVar("W", bound=Work)


class Definitions(Protocol):
    """What is asked about definitions here."""

    async def newest_work(self, name: str, kind: type[W]) -> tuple[int, W]:
        """Return the newest version of what declares tasks, or workflows; raise Refusal when that is not there."""


class Checked(NamedTuple):
    """A request that can be done: under which version of its definition, and how long it runs by itself if it does."""

    version: int
    hold: Mapping[str, Any] | None


def read(request: Request) -> tuple[bytes | None, str | None]:
    """Return params and time of a request as statements take them; raise Refusal with paths from the request."""
    return object_text(request.params, "$.params"), time_text(request.execute_at, "$.executeAt")


async def check(
    definitions: Definitions, name: str, params: bytes | None, execute_at: str | None, *, is_workflow: bool
) -> Checked:
    """Check what was read of a request against the newest version of its definition; raise Refusal likewise."""
    version, definition = await definitions.newest_work(name, WorkflowDefinition if is_workflow else TaskDefinition)
    if schema := definition.params_schema:
        schema.check(params, at="$.params")
    return Checked(version, hold_of(name, params, execute_at))


async def prepare(
    definitions: Definitions, request: Request, *, is_workflow: bool, requester: bytes, caller: str
) -> Start:
    """Return what `store.starts.start` takes; `requester` is JSON text."""
    params, execute_at = read(request)
    checked = await check(definitions, request.definition, params, execute_at, is_workflow=is_workflow)
    return Start(
        is_workflow=is_workflow,
        id=str(uuid4()) if is_workflow or checked.hold is not None else None,
        definition=request.definition,
        version=checked.version,
        label=request.label,
        params=params,
        execute_at=execute_at,
        requester=requester,
        caller=caller,
        hold=checked.hold,
    )


def within(refusal: Refusal, member: str) -> Refusal:
    """Let a refusal of a request be that of the document whose `member` the request is."""
    if refusal.kind is not UNAVAILABLE:
        place = f"$.{member}"
        refusal.errors = refusal.errors and [{**error, "path": place + error["path"][1:]} for error in refusal.errors]
        # What is said of no member is said of the definition.
        refusal.at = place + (refusal.at or "$.definition")[1:]
    return refusal
