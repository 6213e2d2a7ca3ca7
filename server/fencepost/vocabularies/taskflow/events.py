"""The updates of a flow as they happen: its history is played again, and then what comes to it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import NamedTuple

import msgspec

from fencepost.engine.definitions import Definitions
from fencepost.engine.watch import Watch
from fencepost.engine.workflows import Workflows
from fencepost.errors import WORKFLOW_NOT_FOUND, Refusal
from fencepost.vocabularies.taskflow.document import TaskflowDefinition
from fencepost.vocabularies.taskflow.followers import Follower, Followers
from fencepost.vocabularies.taskflow.plan import run_id
from fencepost.vocabularies.taskflow.replay import FlowEvent, Position, Replay
from fencepost.vocabularies.taskflow.runs import Runs
from fencepost.vocabularies.taskflow.store import TaskflowStore

# So that who is told learns that nothing is to be told.
_WAIT_LIMIT_SECONDS = 5.0


class StreamEvent(NamedTuple):
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
        self._followers = Followers(store, watch)

    async def is_behind(self, id: str, position: Position | None) -> bool:
        """Return whether there is anything to tell behind a position; raise Refusal when there is no such flow."""
        newest = (await self._runs.get(id, "$")).plan.retry_attempt
        return position is None or position.run <= newest

    async def follow(self, id: str, position: Position | None) -> AsyncIterator[StreamEvent | None]:
        """Yield the events of the newest run, or those behind a position, until it has ended.

        None stands for a look that found nothing new.
        """
        run = (await self._runs.get(id, "$")).plan.retry_attempt if position is None else position.run
        while run <= (newest := (await self._runs.get(id, "$")).plan.retry_attempt):
            try:
                seq = (await self._workflows.get(run_id(id, run))).seq
                async with self._followers.follow(seq) as follower:
                    async for told in self._run(run_id(id, run), run, position, follower):
                        yield told
            except Refusal as refusal:
                if refusal.kind is not WORKFLOW_NOT_FOUND or run == newest:
                    raise
                # A run so old that its history is gone.
            run += 1

    async def _run(
        self, name: str, run: int, position: Position | None, follower: Follower
    ) -> AsyncIterator[StreamEvent | None]:
        replay: Replay | None = None
        while True:
            # Before its history: when it is over by then, that is complete.
            found = await self._workflows.get(name)
            if replay is None:
                workflow = found.workflow
                document = (await self._definitions.get(workflow.definition, workflow.definition_version)).document
                assert isinstance(document, TaskflowDefinition), "a run is of one"
                replay = Replay(document.plan(workflow), position)
            for events in replay.play(await self._store.list_changes(found.seq, replay.position.taken)):
                for told in _stream_events(events, replay.position.text):
                    yield told
            if found.workflow.outcome is not None:
                # Nothing is behind the end but the next run.
                for told in _stream_events(replay.end(found.workflow.outcome), Position(run + 1, []).text):
                    yield told
                return
            yield None
            await follower.wait(_WAIT_LIMIT_SECONDS)


def _stream_events(events: Sequence[FlowEvent], position: str) -> Sequence[StreamEvent]:
    last = len(events) - 1
    return [
        StreamEvent(position if number == last else None, event.event_type, msgspec.json.encode(event))
        for number, event in enumerate(events)
    ]
