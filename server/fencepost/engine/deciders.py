"""Deciders inside the server: they turn decision tasks of declared documents into actions."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from contextlib import suppress

import msgspec

from fencepost.domain.actions import AnyAction, ScheduleTask, ScheduleWorkflow, request_of
from fencepost.domain.builtin import ENGINE
from fencepost.domain.decider import Decide, Facts, activities_by_label, read_event
from fencepost.domain.definition import Decided
from fencepost.domain.document import Foreign
from fencepost.domain.task import Task, workflow_of
from fencepost.domain.workflow import Workflow
from fencepost.engine.builtin.execution import BuiltinExecution
from fencepost.engine.builtin.refused import instead_of
from fencepost.engine.definitions import Definitions
from fencepost.engine.executions import Executions
from fencepost.engine.leases import lease_of
from fencepost.engine.start_requests import parse, resolve
from fencepost.engine.tasks import Tasks
from fencepost.engine.transitions_by_id import TransitionsById, UnexpectedState
from fencepost.engine.workflows import Workflows
from fencepost.errors import KEY_TAKEN, UNAVAILABLE, Refusal
from fencepost.store.workflows import Found

# No limit: a decider gets all activities of its workflow.
_ALL = 1_000_000
# Seconds to wait while another server decides, and the pauses between two reads, from the first to the second.
_PATIENCE = 5.0
_PAUSES = (0.002, 0.1)


class Deciders:
    """The deciders of this server, by the kind of their documents."""

    def __init__(
        self,
        tasks: Tasks,
        workflows: Workflows,
        executions: Executions,
        transitions: TransitionsById,
        definitions: Definitions,
        by_kind: Mapping[str, Decide],
    ) -> None:
        self._tasks = tasks
        self._workflows = workflows
        self._executions = executions
        self._transitions = transitions
        self._definitions = definitions
        self._by_kind = by_kind

    async def names(self) -> list[str]:
        """Return the names of the definitions that have a decider here."""
        return [*await self._definitions.names_of(self._by_kind)] if self._by_kind else []

    async def handle(self, execution: BuiltinExecution, found: Found | None = None) -> bytes:
        """Return the actions of a decision task, as JSON text. Raises the exceptions of the decider.

        `found` is its workflow when the caller has read it: deciders use id, definition and params, which never change.
        """
        task = execution.task
        found = found or await self._workflows.get(workflow_of(task))
        definition = await self._definitions.get(found.workflow.definition, found.workflow.definition_version)
        assert not isinstance(definition.document, Foreign), "only documents of this server's deciders are polled for"
        tasks, children = await self._workflows.activities(found.seq, size=_ALL)
        decisions = [decision.task for decision in await self._workflows.decisions(found.seq, size=_ALL)]
        # One decision is live at a time, so this one is the last.
        events = [read_event(decision.params) for decision in decisions]
        begun: list[Task | Workflow] = [*(one.task for one in tasks), *children]
        facts = Facts(found.workflow, definition.document, activities_by_label(begun, events))
        decide, event = self._by_kind[definition.document.kind], read_event(task.params)
        actions = await self._definitions.checks.made(lambda: decide(facts, event))
        if isinstance(definition.document, Decided):
            keys: dict[str, str] = {}
            actions = [await self._possible(action, definition.document, keys) for action in actions]
        return msgspec.json.encode(list(actions))

    async def run_pending_decisions(self, id: str, found: Found | None = None) -> None:
        """Make the pending decisions of a workflow here, or wait for the server that makes them.

        Returns after 5 s even if another server is still deciding. It also returns when a decision is refused or its
        decider fails: the caller's own change is committed, and the internal worker will report the failure.
        """
        until, pause = time.monotonic() + _PATIENCE, _PAUSES[0]
        while (decision := await self._workflows.decision(id)) is not None and time.monotonic() < until:
            task_id, status, lost_attempts = decision
            if status == "waiting":
                # The decision waits for its next attempt, or for the begin of its workflow.
                return
            # A decision with lost attempts is left to the internal worker, which isolates it.
            task = await self._begun(task_id) if status == "ready" and not lost_attempts else None
            if task is None:
                await asyncio.sleep(pause)
                pause = min(2 * pause, _PAUSES[1])
            elif not await self._decide(task, found):
                return

    async def _possible(self, action: AnyAction, document: Decided, keys: dict[str, str]) -> AnyAction:
        """Return an action, or its replacement if it starts a task or workflow that cannot start.

        `keys` has the keys of earlier actions and their labels.
        """
        if not isinstance(action, ScheduleTask | ScheduleWorkflow):
            return action
        _, request = request_of(action)
        if is_task := isinstance(action, ScheduleTask):
            await self._definitions.ensure(request.definition)
        if not document.fails_what_cannot_begin:
            return action
        try:
            parsed = parse(request, is_workflow=not is_task)
            resolved = await resolve(self._definitions, request.definition, parsed, is_workflow=not is_task)
            if resolved.key is not None:
                holder = keys.get(resolved.key) or await self._workflows.holder(resolved.key)
                if holder is not None:
                    raise Refusal(KEY_TAKEN, key=resolved.key, id=holder)
                keys[resolved.key] = request.label or request.definition
        except Refusal as refusal:
            if refusal.kind is UNAVAILABLE:
                raise
            return instead_of(request, refusal)
        return action

    async def _begun(self, id: str) -> Task | None:
        """Start a ready decision task; None when another worker has it."""
        try:
            return await self._transitions.apply(id, "start", allowed=("ready",), caller=ENGINE)
        except (UnexpectedState, Refusal):
            return None

    async def _decide(self, task: Task, found: Found | None) -> bool:
        """Make a decision; return whether the server accepted it."""
        lease = lease_of(task, ENGINE)
        decided = False
        try:
            with suppress(Exception):
                actions = await self.handle(BuiltinExecution(task, self._tasks), found)
                (outcome,) = await self._executions.success([lease._replace(content=actions)], short=True)
                decided = not isinstance(outcome, Exception)
        finally:
            if not decided:
                # The internal worker makes it next: it fails the decision task if the decider fails again.
                await self._executions.release([lease], short=True, action="awf.engine/give-back")
        return decided
