"""The updates of a flow as they happen: its history is played again, and then what comes to it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import NamedTuple

import msgspec

from fencepost.domain.taskflow.definition import TaskflowDefinition
from fencepost.domain.taskflow.plan import run_id
from fencepost.domain.taskflow.replay import FlowEvent, Position, Replay
from fencepost.engine.definitions import Definitions
from fencepost.engine.taskflow.runs import Runs
from fencepost.engine.watch import Look, Watch
from fencepost.engine.workflows import Workflows
from fencepost.errors import WORKFLOW_NOT_FOUND, Refusal
from fencepost.store.taskflows import TaskflowStore

_PAUSE_SECONDS = 0.02


class Told(NamedTuple):
    """An event as JSON text; a reader that has it goes on behind `position`, None in the middle of one update."""

    position: str | None
    kind: str
    data: bytes


class FlowEvents:
    """What is to be told of flows."""

    def __init__(
        self, store: TaskflowStore, runs: Runs, workflows: Workflows, definitions: Definitions, watch: Watch
    ) -> None:
        self._store = store
        self._runs = runs
        self._workflows = workflows
        self._definitions = definitions
        self._watch = watch

    async def is_behind(self, id: str, position: Position | None) -> bool:
        """Return whether there is anything to tell behind a position; raise Refusal when there is no such flow."""
        newest = (await self._runs.get(id, "$")).plan.retry_attempt
        return position is None or position.run <= newest

    async def follow(self, id: str, position: Position | None) -> AsyncIterator[Told | None]:
        """Yield the events of the newest run, or those behind a position, until it has ended.

        None stands for a look that found nothing new.
        """
        run = (await self._runs.get(id, "$")).plan.retry_attempt if position is None else position.run
        async with self._watch.look() as look:
            while run <= (newest := (await self._runs.get(id, "$")).plan.retry_attempt):
                try:
                    async for told in self._run(id, run, position, look):
                        yield told
                except Refusal as refusal:
                    if refusal.kind is not WORKFLOW_NOT_FOUND or run == newest:
                        raise
                    # A run so old that its history is gone.
                run += 1

    async def _run(self, id: str, run: int, position: Position | None, look: Look) -> AsyncIterator[Told | None]:
        name = run_id(id, run)
        replay: Replay | None = None
        while True:
            # Before its history: when it is over by then, that is complete.
            found = await self._workflows.get(name)
            if replay is None:
                workflow = found.workflow
                document = (await self._definitions.get(workflow.definition, workflow.definition_version)).document
                assert isinstance(document, TaskflowDefinition), "a run is of one"
                replay = Replay(document.plan(workflow), position)
            for events in replay.play(await self._store.changes(found.seq, replay.position.taken)):
                for told in _told(events, replay.position.text):
                    yield told
            if found.workflow.outcome is not None:
                # Nothing is behind the end but the next run.
                for told in _told(replay.end(found.workflow.outcome), Position(run + 1, []).text):
                    yield told
                return
            yield None
            await look.wait()
            # On a busy server something changes all the time.
            await asyncio.sleep(_PAUSE_SECONDS)


def _told(events: Sequence[FlowEvent], position: str) -> Sequence[Told]:
    last = len(events) - 1
    return [
        Told(position if number == last else None, event.event_type, msgspec.json.encode(event))
        for number, event in enumerate(events)
    ]
