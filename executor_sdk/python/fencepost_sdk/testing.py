"""Tests for deciders without a server.

History, replay, assert_unchanged    replay the recorded decisions of a workflow
Run                                  a workflow in memory that a test drives event by event

As in a worker, a decider may be a sync or an async function.
"""

from __future__ import annotations

import asyncio
import inspect
import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple, Self

import msgspec
from msgspec import Struct

from fencepost_sdk.actions import COMPLETE, DO_NOTHING, FAIL, SCHEDULE_WORKFLOW, UNKNOWN_ERROR, Action, request_in
from fencepost_sdk.deciders import Decider
from fencepost_sdk.facts import Activity, Event, activities_at, read_event
from fencepost_sdk.handlers import Function
from fencepost_sdk.payloads import json_value

__all__ = ["Difference", "History", "Run", "assert_unchanged", "replay"]

ENDINGS = (COMPLETE, FAIL, UNKNOWN_ERROR)
FAILED = {"type": "awf.task/failed-by-executor", "message": "Failed by executor"}


class History(Struct):
    """The history of a workflow: its resource, its activities and its decisions, as the server returned them.

    history = History.load("order-1815.json")
    print(history.resource["definition"], len(history.decisions))
    """

    resource: dict[str, Any]
    activities: list[dict[str, Any]]
    decisions: list[dict[str, Any]]

    @classmethod
    def load(cls, path: str | PathLike[str]) -> Self:
        """Read a history from a file with the output of `fencepost workflow export ID`; raises ValueError.

        history = History.load("order-1815.json")
        """
        return cls.of(msgspec.json.decode(Path(path).read_bytes()))

    @classmethod
    def of(cls, status: Mapping[str, Any]) -> Self:
        """Return the history in an answer of `awf.workflow/status`; raises ValueError for an answer without its parts.

        asked = {"id": "order-1815", "include-activities?": True, "include-decisions?": True}
        history = History.of(client.call("awf.workflow/status", asked))
        """
        for member in ("resource", "activities", "decisions"):
            if member not in status:
                raise ValueError(f"not the history of a workflow: {member!r} is missing")
        return cls(status["resource"], status["activities"], status["decisions"])


class Difference(NamedTuple):
    """A decision that has changed: its id, its event, its actions `then`, and the actions of the decider `now`.

    When the decider raises, `now` is None and `error` is the exception.

        for difference in replay(decide, History.load("order-1815.json")):
            print(difference)
    """

    decision: str
    event: Event
    then: list[Action]
    now: list[Action] | None
    error: Exception | None = None

    def __str__(self) -> str:
        now = repr(self.error) if self.now is None else _text(self.now)
        named = {name: value for name, value in msgspec.structs.asdict(self.event).items() if value is not None}
        return f"decision {self.decision} about {json.dumps(named)}\n  then: {_text(self.then)}\n  now:  {now}"


def replay(decide: Function, history: History) -> list[Difference]:
    """Call the decider for every recorded decision, with the facts of that time, and return the decisions that differ.

    Actions are compared as data, in order. `do_nothing` equals no action, and an action without a label equals one with
    the label that the server gave it. Decisions that failed or are pending are skipped.

        assert replay(decide, History.load("order-1815.json")) == []
    """
    decider = Decider(history.resource["definition"], decide)
    found = []
    for number, decision in enumerate(history.decisions):
        if decision.get("outcome") != "succeeded":
            continue
        event = read_event(decision["params"])
        then = _normal(decision.get("result") or [], decision["id"])
        facts = activities_at(history.activities, history.decisions, number)
        try:
            decided = _decide(decider, history.resource, facts, event)
        except Exception as error:  # noqa: BLE001 - an exception of the decider is a difference
            found.append(Difference(decision["id"], event, then, None, error))
            continue
        now = _normal(decided, decision["id"])
        if now != then:
            found.append(Difference(decision["id"], event, then, now))
    return found


def assert_unchanged(decide: Function, history: History) -> None:
    """Replay a history; raises AssertionError that shows the differences, if there are any.

    assert_unchanged(decide, History.load("order-1815.json"))
    """
    differences = replay(decide, history)
    if differences:
        count = f"{len(differences)} of {len(history.decisions)} decisions of {history.resource['id']} would differ"
        raise AssertionError("\n".join([f"{count}:", *map(str, differences)]))


class Run:
    """A workflow in memory: its decider gets the event `init` at once, and then the events of the test.

    `actions` are those of the last decision, `activities` all activities by label. `outcome`, `result` and `error` are
    set when the workflow ends.

        def decide(workflow: Facts, event: Event):
            if event.kind == "init":
                return actions.schedule_task("demo/resize", "picture", workflow.params)
            return actions.complete(workflow.activities["picture"].result)

        run = Run(decide, {"width": 640})
        assert run.activities["picture"].params == {"width": 640}
        run.complete("picture", {"url": "/640.png"})
        assert (run.outcome, run.result) == ("succeeded", {"url": "/640.png"})
    """

    def __init__(self, decide: Function, params: Any = None, *, definition: str = "test/workflow") -> None:
        self._decider = Decider(definition, decide)
        self._resource = {"id": "run", "definition": definition, "params": json_value(params)}
        self._requests: dict[str, dict[str, Any]] = {}
        self._decisions = 0
        self.activities: dict[str, Activity] = {}
        self.actions: list[Action] = []
        self.outcome: str | None = None
        self.result: Any = None
        self.error: Any = None
        self._handle(Event(kind="init"))

    @property
    def live(self) -> list[str]:
        """The labels of the activities that have not ended.

        Run(lambda workflow, event: actions.schedule_task("demo/resize", "picture")).live == ["picture"]
        """
        return [label for label, activity in self.activities.items() if not activity.done]

    def complete(self, label: str, result: Any = None) -> list[Action]:
        """End an activity with a result and return the actions of the next decision.

        Run(lambda workflow, event: actions.schedule_task("demo/resize", "picture")).complete("picture", {"url": "/1"})
        """
        return self._end(label, "succeeded", result=result)

    def fail(self, label: str, error: Any = None) -> list[Action]:
        """End an activity as failed after its last attempt and return the actions of the next decision.

        Run(lambda workflow, event: actions.schedule_task("demo/resize", "picture")).fail("picture", {"code": "dark"})
        """
        return self._end(label, "failed", error=error)

    def cancel(self, label: str) -> list[Action]:
        """End an activity as canceled and return the actions of the next decision.

        Run(lambda workflow, event: actions.schedule_task("demo/resize", "picture")).cancel("picture")
        """
        return self._end(label, "canceled")

    def signal(self, name: str, payload: Any = None) -> list[Action]:
        """Signal the workflow and return the actions of the next decision.

        Run(lambda workflow, event: None).signal("paid", {"by": "ada"})
        """
        return self._handle(Event(kind="signal", name=name, payload=json_value(payload)))

    def _end(self, label: str, outcome: str, *, result: Any = None, error: Any = None) -> list[Action]:
        if label not in self.live:
            raise ValueError(f"no live activity has the label {label!r}; live are {self.live}")
        activity = self.activities[label]
        self.activities[label] = msgspec.structs.replace(
            activity,
            status="done",
            outcome=outcome,
            result=json_value(result),
            error=json_value(error),
            reason=FAILED if outcome == "failed" else None,
        )
        what, id = ("workflow", "workflow_id") if activity.is_workflow else ("task", "task_id")
        return self._handle(Event(kind=f"{what}-completed", label=label, outcome=outcome, **{id: activity.id}))

    def _handle(self, event: Event) -> list[Action]:
        if self.outcome is not None:
            raise ValueError(f"the workflow has already {self.outcome}")
        decided = _decide(self._decider, self._resource, dict(self.activities), event)
        self.actions = _normal(decided, f"decision-{self._decisions}")
        self._decisions += 1
        for place, action in enumerate(self.actions):
            if (request := request_in(action)) is not None:
                self._start(request, is_workflow=action["action"] == SCHEDULE_WORKFLOW)
            elif action["action"] in ENDINGS:
                if self.actions[place + 1 :]:
                    raise ValueError("no action may follow the one that ends the workflow")
                self.outcome = "succeeded" if action["action"] == COMPLETE else "failed"
                self.result, self.error = action.get("result"), action.get("error")
            else:
                raise ValueError(f"there is no action {action['action']!r}")
        return self.actions

    def _start(self, request: dict[str, Any], *, is_workflow: bool) -> None:
        label = request["label"]
        if self._requests.setdefault(label, request) != request:
            raise ValueError(f"an activity with other content has the label {label!r}: {self._requests[label]}")
        self.activities.setdefault(
            label,
            Activity(
                id=label,
                label=label,
                definition=request["definition"],
                params=request.get("params"),
                is_workflow=is_workflow,
            ),
        )


def _decide(decider: Decider, resource: dict[str, Any], activities: dict[str, Activity], event: Event) -> list[Action]:
    returned = decider.function(decider.facts(resource, activities), event)
    if inspect.isawaitable(returned):

        async def awaited() -> Any:
            return await returned

        # In a thread, because the calling test may run in an event loop.
        with ThreadPoolExecutor(1) as thread:
            returned = thread.submit(asyncio.run, awaited()).result()
    return decider.outcome(returned)


def _normal(decided: Any, decision: str) -> list[Action]:
    """Return the actions in a form in which equivalent actions are equal."""
    actions = []
    for index, action in enumerate([decided] if isinstance(decided, Mapping) else decided):
        if action["action"] == DO_NOTHING:
            continue
        request = request_in(action)
        if request is None:
            actions.append(dict(action))
        else:
            member = "workflow-request" if action["action"] == SCHEDULE_WORKFLOW else "task-request"
            labelled = {**request, "label": request.get("label") or f"{decision}/{index}"}
            actions.append({"action": action["action"], member: labelled})
    return actions


def _text(actions: list[Action]) -> str:
    return json.dumps(actions) if actions else "nothing"
