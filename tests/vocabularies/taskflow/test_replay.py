"""The events of a flow, computed from the logs of its tasks."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
import pytest

from fencepost.vocabularies.taskflow.progress import TaskState
from fencepost.vocabularies.taskflow.replay import ActivityChange, FlowEvent, Position, Replay, parse_position
from tests.fixtures.taskflows import Run, flow

STEPS = [
    TaskState("ready"),
    TaskState("requested"),
    TaskState("in-progress", retry_count=1),
    TaskState("waiting", retry_count=1),
    TaskState("ready", retry_count=1),
    TaskState("in-progress", retry_count=2),
    TaskState("done", "succeeded", "in-progress", 2, b'{"ok":1}'),
]


def history(run: Run, *names: str) -> list[ActivityChange]:
    """Return the history of tasks, each a moment later than the one before."""
    times = itertools.count()
    return [
        ActivityChange(number, version, f"{version:03}-{next(times):03}", run.label(name), name, state)
        for version, state in enumerate(STEPS, 1)
        for number, name in enumerate(names)
    ]


def told(steps: Iterator[Sequence[FlowEvent]]) -> list[Any]:
    """Return events as parsed JSON."""
    return [json.loads(msgspec.json.encode(event)) for events in steps for event in events]


def short(events: Sequence[Any]) -> list[tuple[Any, ...]]:
    """Return the data of events without the flow."""
    return [
        (
            event["eventType"],
            *(
                event["data"][key]
                for key in ("taskStatus", "attempt", "stageStatus", "taskflowStatus")
                if key in event["data"]
            ),
        )
        for event in events
    ]


def test_each_update_of_a_status_is_an_event_with_the_flow_after_it() -> None:
    run = Run(flow(["a"]))
    replay = Replay(run.plan)
    events = told(replay.play(history(run, "a")))
    assert short(events) == [
        ("TASK", "QUEUED", 0),
        ("STAGE", "RUNNING"),
        ("TASKFLOW", "RUNNING"),
        ("TASK", "RUNNING", 0),
        ("TASK", "QUEUED", 1),
        ("TASK", "RUNNING", 1),
        ("TASK", "SUCCESS", 1),
        ("STAGE", "COMPLETED"),
    ]
    last = events[-2]["data"]
    stage, task = run.plan.stages[0].id, run.plan.stages[0].tasks[0].id
    assert (last["taskflowId"], last["stageId"], last["taskId"]) == ("run", stage, task)
    assert last["taskResponse"] == {"ok": 1}
    assert last["taskflowObject"]["stages"][stage]["tasks"][task]["response"] == {"ok": 1}
    assert events[3]["data"]["taskflowObject"]["stages"][stage]["tasks"][task]["status"] == "RUNNING"
    (event,) = told(iter([replay.end("succeeded")]))
    assert (event["eventType"], event["data"]["taskflowStatus"]) == ("TASKFLOW", "COMPLETED")
    assert event["data"]["taskflowObject"]["status"] == "COMPLETED"


def test_an_entry_that_commits_late_yields_its_event_once() -> None:
    run = Run(flow(["a", "b"]))
    whole = history(run, "a", "b")
    late = [change for change in whole if change.label == run.label("b")]
    replay = Replay(run.plan)
    first = told(replay.play([change for change in whole if change not in late]))
    assert [event["data"].get("taskId") for event in first].count(run.plan.stages[0].tasks[1].id) == 0
    second = told(replay.play(whole))
    assert {event["data"]["taskId"] for event in second if event["eventType"] == "TASK"} == {
        run.plan.stages[0].tasks[1].id
    }
    assert told(replay.play(whole)) == []


def test_a_reader_resumes_from_its_position() -> None:
    run = Run(flow(["a", "b"]))
    whole = history(run, "a", "b")
    replay, texts, batches = Replay(run.plan), [], []
    for events in replay.play(whole):
        texts.append(replay.position.text)
        batches.append(msgspec.json.encode(events))
    for place, text in enumerate(texts):
        position = parse_position(text)
        assert position is not None
        again = [msgspec.json.encode(events) for events in Replay(run.plan, position).play(whole)]
        assert again == batches[place + 1 :]


@pytest.mark.shows("taskflow/late-commits")
def test_an_entry_that_commits_late_during_a_disconnect_hides_no_event() -> None:
    run = Run(flow(["a", "b"]))
    whole = history(run, "a", "b")
    late = whole[-2]
    assert (late.label, late.state.status) == (run.label("a"), "done")
    replay = Replay(run.plan)
    told(replay.play([change for change in whole if change is not late]))
    assert short(told(Replay(run.plan, replay.position).play(whole))) == [
        ("TASK", "SUCCESS", 1),
        ("STAGE", "COMPLETED"),
    ]


def test_a_position_is_parsed_or_is_none() -> None:
    assert parse_position("1.3.3.2") == Position(1, [3, 3, 2])
    assert parse_position("0") == Position(0, [])
    for text in ("", "x", "1.", "1.-2", "1.٣", "9" * 400):
        assert parse_position(text) is None
