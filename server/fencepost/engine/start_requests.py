"""Requests of decisions, schedules and triggers to start a task or workflow: parsed and checked before any change."""

from __future__ import annotations

from typing import NamedTuple, Protocol
from uuid import uuid4

from fencepost.domain.actions import Request
from fencepost.domain.builtin import Timer, timer_of
from fencepost.domain.definition import AnyWorkflow, TaskDefinition
from fencepost.domain.payload import object_text
from fencepost.domain.task_overrides import overrides_text
from fencepost.domain.times import time_text
from fencepost.engine.checks import Checks
from fencepost.errors import UNAVAILABLE, Refusal, invalid_params
from fencepost.store.start_requests import StartRequest


class Definitions(Protocol):
    """The lookups of definitions that requests need."""

    checks: Checks

    async def newest_task(self, name: str) -> tuple[int, TaskDefinition]:
        """Return the newest version of a definition of tasks; raise Refusal (`definition-not-found`)."""

    async def newest_workflow(self, name: str) -> tuple[int, AnyWorkflow]:
        """Return the newest version of a definition of workflows; raise Refusal (`definition-not-found`)."""


class ResolvedRequest(NamedTuple):
    """The facts about a valid request from its definition: the version, a task's timer, a workflow's key."""

    version: int
    timer: Timer | None = None
    key: str | None = None
    about: tuple[str, ...] = ()


class ParsedRequest(NamedTuple):
    """The members of a request in the form of statement parameters."""

    params: bytes | None
    execute_at: str | None
    settings: bytes | None


def parse(request: Request, *, is_workflow: bool) -> ParsedRequest:
    """Parse a request; raise Refusal (`invalid-params`) with a field of the request."""
    settings = overrides_text(request.settings)
    if is_workflow and settings is not None:
        raise invalid_params("a workflow has no settings of its own", "settings")
    return ParsedRequest(object_text(request.params, "params"), time_text(request.execute_at, "executeAt"), settings)


async def resolve(definitions: Definitions, name: str, parsed: ParsedRequest, *, is_workflow: bool) -> ResolvedRequest:
    """Check a parsed request against the newest version of its definition; raise Refusal with a field of it."""
    if is_workflow:
        version, workflow = await definitions.newest_workflow(name)
        beginning = await definitions.checks.made(lambda: workflow.begin(parsed.params))
        return ResolvedRequest(version, key=beginning.key, about=beginning.about)
    version, task = await definitions.newest_task(name)
    await definitions.checks.made(lambda: task.begin(parsed.params))
    return ResolvedRequest(version, timer_of(name, parsed.params, parsed.execute_at))


async def prepare(
    definitions: Definitions, request: Request, *, is_workflow: bool, requester: bytes, caller: str
) -> StartRequest:
    """Parse and check a request; return it for `store.start_requests.start`. `requester` is JSON text."""
    parsed = parse(request, is_workflow=is_workflow)
    resolved = await resolve(definitions, request.definition, parsed, is_workflow=is_workflow)
    return StartRequest(
        is_workflow=is_workflow,
        id=str(uuid4()) if is_workflow or resolved.timer is not None else None,
        definition=request.definition,
        version=resolved.version,
        label=request.label,
        params=parsed.params,
        execute_at=parsed.execute_at,
        settings=parsed.settings,
        requester=requester,
        caller=caller,
        timer=resolved.timer,
        key=resolved.key,
        about=resolved.about,
    )


def within(refusal: Refusal, member: str) -> Refusal:
    """Return a request's refusal for the document that has the request as its `member`."""
    if refusal.kind is UNAVAILABLE:
        return refusal
    # A refusal without a field is about the definition.
    return refusal.within(f"{member}.definition" if refusal.field is None else member)
