"""Requests to start something, as decisions, schedules and triggers make them, checked before anything is done."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol
from uuid import uuid4

from fencepost.domain.actions import Request
from fencepost.domain.builtin import hold_of
from fencepost.domain.definition import AnyWorkflow, TaskDefinition
from fencepost.domain.payload import object_text
from fencepost.domain.terms import terms_text
from fencepost.domain.times import time_text
from fencepost.engine.checks import Checks
from fencepost.errors import UNAVAILABLE, Refusal, invalid_params
from fencepost.store.starts import Start


class Definitions(Protocol):
    """What is asked about definitions here."""

    checks: Checks

    async def newest_task(self, name: str) -> tuple[int, TaskDefinition]:
        """Return the newest version of what declares tasks; raise Refusal when that is not there."""

    async def newest_workflow(self, name: str) -> tuple[int, AnyWorkflow]:
        """Return the newest version of what declares workflows; raise Refusal when that is not there."""


class Checked(NamedTuple):
    """A request that can be done: under which version of its definition, how long it runs by itself, its key."""

    version: int
    hold: Mapping[str, Any] | None = None
    key: str | None = None
    about: tuple[str, ...] = ()


class Read(NamedTuple):
    """What a request says, as statements take it."""

    params: bytes | None
    execute_at: str | None
    settings: bytes | None


def read(request: Request, *, is_workflow: bool) -> Read:
    """Return what a request says; raise Refusal with paths from the request."""
    settings = terms_text(request.settings)
    if is_workflow and settings is not None:
        raise invalid_params("a workflow has no settings of its own", "$.settings")
    return Read(object_text(request.params, "$.params"), time_text(request.execute_at, "$.executeAt"), settings)


async def check(definitions: Definitions, name: str, said: Read, *, is_workflow: bool) -> Checked:
    """Check what was read of a request against the newest version of its definition; raise Refusal likewise."""
    if is_workflow:
        version, workflow = await definitions.newest_workflow(name)
        beginning = await definitions.checks.made(lambda: workflow.begin(said.params))
        return Checked(version, key=beginning.key, about=beginning.about)
    version, task = await definitions.newest_task(name)
    await definitions.checks.made(lambda: task.begin(said.params))
    return Checked(version, hold_of(name, said.params, said.execute_at))


async def prepare(
    definitions: Definitions, request: Request, *, is_workflow: bool, requester: bytes, caller: str
) -> Start:
    """Return what `store.starts.start` takes; `requester` is JSON text."""
    said = read(request, is_workflow=is_workflow)
    checked = await check(definitions, request.definition, said, is_workflow=is_workflow)
    return Start(
        is_workflow=is_workflow,
        id=str(uuid4()) if is_workflow or checked.hold is not None else None,
        definition=request.definition,
        version=checked.version,
        label=request.label,
        params=said.params,
        execute_at=said.execute_at,
        settings=said.settings,
        requester=requester,
        caller=caller,
        hold=checked.hold,
        key=checked.key,
        about=checked.about,
    )


def within(refusal: Refusal, member: str) -> Refusal:
    """Let a refusal of a request be that of the document whose `member` the request is."""
    if refusal.kind is not UNAVAILABLE:
        place = f"$.{member}"
        refusal.errors = refusal.errors and [{**error, "path": place + error["path"][1:]} for error in refusal.errors]
        # What is said of no member is said of the definition.
        refusal.at = place + (refusal.at or "$.definition")[1:]
    return refusal
