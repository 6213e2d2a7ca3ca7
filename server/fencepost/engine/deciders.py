"""Deciding inside of the server: from a decision task to what the decider of its document says."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from uuid import UUID

import msgspec

from fencepost.domain.actions import ScheduleTask
from fencepost.domain.builtin import ENGINE
from fencepost.domain.decider import Decide, Facts, read_event, told
from fencepost.domain.definition import Decided
from fencepost.domain.task import Task, workflow_of
from fencepost.domain.workflow import Workflow
from fencepost.engine.builtin.errand import Errand
from fencepost.engine.definitions import Definitions
from fencepost.engine.executions import Executions
from fencepost.engine.hands import Elsewhere, Hands
from fencepost.engine.leases import Lease
from fencepost.engine.tasks import Tasks
from fencepost.engine.workflows import Workflows
from fencepost.errors import Refusal

# As many as there may be: a decider is told of all that it has begun.
_ALL = 1_000_000
# How long to wait for who makes a decision, and how often to look: from the first number of seconds to the second.
_PATIENCE = 5.0
_LOOKS = (0.002, 0.1)


class Deciders:
    """The deciders of this server, by the kind of the documents that they decide over."""

    def __init__(
        self,
        tasks: Tasks,
        workflows: Workflows,
        executions: Executions,
        hands: Hands,
        definitions: Definitions,
        by_kind: Mapping[str, Decide],
    ) -> None:
        self._tasks = tasks
        self._workflows = workflows
        self._executions = executions
        self._hands = hands
        self._definitions = definitions
        self._by_kind = by_kind

    async def names(self) -> list[str]:
        """Return the names of what is decided here."""
        return [*await self._definitions.names_of(self._by_kind)] if self._by_kind else []

    async def handle(self, errand: Errand) -> bytes:
        """Return the actions of a decision task, as JSON text; raise what the decider raises."""
        task = errand.task
        found = await self._workflows.get(workflow_of(task))
        definition = await self._definitions.get(found.workflow.definition, found.workflow.definition_version)
        tasks, children = await self._workflows.activities(found.seq, size=_ALL)
        decisions = [held.task for held in await self._workflows.decisions(found.seq, size=_ALL)]
        # Only one is live at a time, so that this one is the last.
        events = [read_event(decision.params) for decision in decisions]
        begun: list[Task | Workflow] = [*(held.task for held in tasks), *children]
        facts = Facts(found.workflow, definition.document, told(begun, events))
        actions = self._by_kind[definition.document.kind](facts, read_event(task.params))
        if isinstance(definition.document, Decided):
            for action in actions:
                if isinstance(action, ScheduleTask):
                    await self._definitions.ensure(action.task_request.definition)
        return msgspec.json.encode(list(actions))

    async def settle(self, id: str) -> None:
        """Return when nothing is to be decided about a workflow, making its decisions here where nobody else does.

        Gives up after some seconds: whoever is at it will be done later. What is refused is left to the loop too.
        """
        until, pause = time.monotonic() + _PATIENCE, _LOOKS[0]
        while (decision := await self._workflows.decision(id)) is not None and time.monotonic() < until:
            task_id, status = decision
            if status == "waiting":
                # For its next attempt, or for its workflow to begin: nothing follows soon.
                return
            task = await self._begun(task_id) if status == "ready" else None
            if task is None:
                await asyncio.sleep(pause)
                pause = min(2 * pause, _LOOKS[1])
            elif not await self._decide(task):
                return

    async def _begun(self, id: str) -> Task | None:
        """Begin a decision that waits; None when somebody else is at it."""
        try:
            return await self._hands.move(id, "start", allowed=("ready",), caller=ENGINE)
        except (Elsewhere, Refusal):
            return None

    async def _decide(self, task: Task) -> bool:
        """Make a decision; return whether it was taken. Raises what the decider raises."""
        assert task.exec_id is not None, "it was started"
        lease = Lease(task.id, UUID(task.exec_id), ENGINE)
        decided = False
        try:
            actions = await self.handle(Errand(task, self._tasks))
            (outcome,) = await self._executions.success([lease._replace(content=actions)], short=True)
            decided = not isinstance(outcome, Exception)
        finally:
            if not decided:
                # The loop meets the same and fails the decision with it; who went away has left it to the loop.
                await self._executions.release([lease], short=True, action="awf.engine/give-back")
        return decided
