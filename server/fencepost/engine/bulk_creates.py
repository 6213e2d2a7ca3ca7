"""Creates of many tasks of one definition."""

from __future__ import annotations

from collections.abc import MutableSequence, Sequence
from functools import partial
from typing import NamedTuple

from fencepost.domain.builtin import TIMERS
from fencepost.domain.payload import require_object
from fencepost.engine.definitions import Definitions
from fencepost.engine.outcomes import TRIES, Outcomes, sequentially, too_contended
from fencepost.engine.tasks import NewTask, Tasks
from fencepost.engine.wakeups import Wakeups
from fencepost.errors import UNAVAILABLE, Refusal, invalid_params
from fencepost.store.tasks import CreatedSeries, TaskSeries, TaskStore

_TOO_LONG = "checking these params together takes too long; send fewer of them"


class NewTasks(NamedTuple):
    """Tasks of one definition to create together: `params` has one item for each, and so have `ids` and `labels`.

    JSON members are text, `execute_at` is ISO-8601 with a zone. A `request_id` is for tasks without ids.
    """

    definition: str
    params: Sequence[bytes | None]
    ids: Sequence[str | None] | None
    labels: Sequence[str | None] | None
    execute_at: str | None
    settings: bytes | None
    caller: str
    request_id: str | None

    def singly(self, places: Sequence[int]) -> list[NewTask]:
        """Return the tasks at some places, each by itself."""
        return [
            NewTask(
                self.definition,
                None if self.ids is None else self.ids[place],
                None if self.labels is None else self.labels[place],
                self.params[place],
                self.execute_at,
                self.caller,
                self.settings,
            )
            for place in places
        ]

    def series(self, places: Sequence[int]) -> TaskSeries:
        """Return the tasks at some places, as the store creates them."""
        return TaskSeries(
            self.definition,
            [self.params[place] or b"null" for place in places],
            None if self.labels is None else [self.labels[place] for place in places],
            self.execute_at,
            self.settings,
            self.caller,
            self.request_id,
        )


class BulkCreates:
    """Creates many tasks with one statement."""

    def __init__(self, store: TaskStore, tasks: Tasks, definitions: Definitions, wakeups: Wakeups) -> None:
        self._store = store
        self._tasks = tasks
        self._definitions = definitions
        self._wakeups = wakeups

    async def create(self, new: NewTasks) -> Outcomes[str]:
        """Create tasks of one definition, as `create` does; return the id of each, or its refusal.

        One statement creates them all, unless they have ids or are timers. Raises Refusal for all, and creates nothing:
        `definition-not-found`, `request-id-reused`, `unavailable`, and `invalid-params` for more than can be checked.
        """
        outcomes: list[str | Exception | None] = [_refusal_of(params) for params in new.params]
        places = [place for place, refusal in enumerate(outcomes) if refusal is None]
        if new.ids is not None or new.definition in TIMERS:
            await self._definitions.newest_task(new.definition)
            if new.request_id is not None:
                raise invalid_params(f"for tasks of {new.definition}, give 'ids' instead", "requestId")
            for place, one in zip(places, await self._tasks.create(new.singly(places), short=True), strict=True):
                outcomes[place] = one if isinstance(one, Exception) else one.task.id
        else:
            await self._create_series(new, places, outcomes)
        return [outcome for outcome in outcomes if outcome is not None]

    async def _create_series(
        self, new: NewTasks, places: Sequence[int], outcomes: MutableSequence[str | Exception | None]
    ) -> None:
        """Create the tasks at some places with one statement, and set their outcomes."""
        for _ in range(TRIES):
            version, definition = await self._definitions.newest_task(new.definition)
            fitting = places
            if definition.params_schema is not None:
                made = self._definitions.checks.made
                checked = await sequentially(made(partial(definition.begin, new.params[place])) for place in places)
                for place, outcome in zip(places, checked, strict=True):
                    if isinstance(outcome, Refusal) and outcome.kind is UNAVAILABLE:
                        raise outcome if place == places[0] else invalid_params(_TOO_LONG, "params")
                    outcomes[place] = outcome if isinstance(outcome, Exception) else None
                fitting = [place for place in places if outcomes[place] is None]
            series = await self._store.create_many(new.series(fitting), version) if fitting else CreatedSeries([], None)
            if series is not None:
                self._announce_series(new, series)
                for place, id in zip(fitting, series.ids, strict=True):
                    outcomes[place] = id
                return
            self._definitions.forget(new.definition)
        raise too_contended(f"definition {new.definition!r}")

    def _announce_series(self, new: NewTasks, created: CreatedSeries) -> None:
        """Publish wake-ups for the tasks of a series."""
        if created.due_in is not None:
            self._wakeups.deadline(created.due_in)
        elif created.ids:
            self._wakeups.ready(new.definition, len(created.ids))
        if new.settings is not None:
            # They may have an expiry.
            self._wakeups.deadline(0.0)


def _refusal_of(params: bytes | None) -> Refusal | None:
    """Return the refusal of params that are not an object."""
    try:
        require_object(params, "params")
    except Refusal as refusal:
        return refusal
    return None
