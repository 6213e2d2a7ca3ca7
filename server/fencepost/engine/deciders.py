"""Deciding inside of the server: from a decision task to what the decider of its document says."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from fencepost.domain.decider import Decide, Facts, read_event, told
from fencepost.domain.task import Task, workflow_of
from fencepost.domain.workflow import Workflow
from fencepost.engine.builtin.errand import Errand
from fencepost.engine.definitions import Definitions
from fencepost.engine.workflows import Workflows

# As many as there may be: a decider is told of all that it has begun.
_ALL = 1_000_000


class Deciders:
    """The deciders of this server, by the kind of the documents that they decide over."""

    def __init__(self, workflows: Workflows, definitions: Definitions, by_kind: Mapping[str, Decide]) -> None:
        self._workflows = workflows
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
        return msgspec.json.encode(list(actions))
