"""The event stream of a flow: a replay of its history, then the updates as they happen."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import NamedTuple

import msgspec

from fencepost.engine.change_feed import ChangeFeed
from fencepost.engine.definitions import Definitions
from fencepost.engine.workflows import Workflows
from fencepost.errors import WORKFLOW_NOT_FOUND, Refusal
from fencepost.vocabularies.taskflow.document import TaskflowDefinition
from fencepost.vocabularies.taskflow.followers import Follower, Followers
from fencepost.vocabularies.taskflow.plan import run_id
from fencepost.vocabularies.taskflow.replay import FlowEvent, Position, Replay
from fencepost.vocabularies.taskflow.runs import Runs
from fencepost.vocabularies.taskflow.store import TaskflowStore

# Longest time between two items of a stream: an idle stream yields None for its keep-alive.
_WAIT_LIMIT_SECONDS = 5.0


class StreamEvent(NamedTuple):
    """An event as JSON text; a reader resumes after `position`, None for all but the last event of an update."""

    position: str | None
    kind: str
    data: bytes


class FlowEvents:
    """The event streams of a database's flows."""

    def __init__(
        self, store: TaskflowStore, runs: Runs, workflows: Workflows, definitions: Definitions, changes: ChangeFeed
    ) -> None:
        self._store = store
        self._runs = runs
        self._workflows = workflows
        self._definitions = definitions
        self._followers = Followers(store, changes)

    async def is_behind(self, id: str, position: Position | None) -> bool:
        """Return whether events may follow a position; raise Refusal (`taskflow-not-found`)."""
        newest = (await self._runs.get(id, "")).plan.retry_attempt
        return position is None or position.run <= newest

    async def follow(self, id: str, position: Position | None) -> AsyncIterator[StreamEvent | None]:
        """Yield the events of the newest run, or those after a position, until the run has ended.

        Yields None when a read found nothing new.
        """
        run = (await self._runs.get(id, "")).plan.retry_attempt if position is None else position.run
        while run <= (newest := (await self._runs.get(id, "")).plan.retry_attempt):
            try:
                seq = (await self._workflows.get(run_id(id, run))).seq
                async with self._followers.follow(seq) as follower:
                    async for event in self._run(run_id(id, run), run, position, follower):
                        yield event
            except Refusal as refusal:
                if refusal.kind is not WORKFLOW_NOT_FOUND or run == newest:
                    raise
                # The history of this run has been deleted by retention.
            run += 1

    async def _run(
        self, name: str, run: int, position: Position | None, follower: Follower
    ) -> AsyncIterator[StreamEvent | None]:
        replay: Replay | None = None
        while True:
            # Read before the history: when the workflow has ended by then, the history is complete.
            found = await self._workflows.get(name)
            if replay is None:
                workflow = found.workflow
                document = (await self._definitions.get(workflow.definition, workflow.definition_version)).document
                assert isinstance(document, TaskflowDefinition), "a run is of one"
                replay = Replay(document.plan(workflow), position)
            for events in replay.play(await self._store.list_changes(found.seq, replay.position.taken)):
                for event in _stream_events(events, replay.position.text):
                    yield event
            if found.workflow.outcome is not None:
                # The next run is all that can follow the end of this one.
                for event in _stream_events(replay.end(found.workflow.outcome), Position(run + 1, []).text):
                    yield event
                return
            yield None
            await follower.wait(_WAIT_LIMIT_SECONDS)


def _stream_events(events: Sequence[FlowEvent], position: str) -> Sequence[StreamEvent]:
    last = len(events) - 1
    return [
        StreamEvent(position if number == last else None, event.event_type, msgspec.json.encode(event))
        for number, event in enumerate(events)
    ]
