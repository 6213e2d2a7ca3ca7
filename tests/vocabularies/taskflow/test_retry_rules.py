"""Retries of flows: the tasks that run again in each documented form, and those that are kept."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from fencepost.errors import Refusal
from fencepost.vocabularies.taskflow.progress import Progress, TaskState, collect_facts, compute_progress
from fencepost.vocabularies.taskflow.retry import StageRetry, retry_params
from tests.fixtures.taskflows import Run, flow, task

GO_ON = {"continueOnTaskFailure": True}
ONCE = {"exactlyOnceTaskExecution": True}


def ended(run: Run, outcome: str | None = None) -> Progress:
    """Return the progress of a run."""
    told = [
        (one.label, one.id, TaskState("done", one.outcome, "in-progress", 1, one.result, one.error))
        for one in run.activities.values()
        if one.outcome is not None
    ]
    return compute_progress(run.plan, collect_facts(told, outcome or run.outcome))


def retried(run: Run, wanted: Sequence[tuple[str, Sequence[str] | None]] | None = None) -> Run:
    """Retry an ended run, all of it or stages and tasks by name."""
    stages = {stage.name: stage for stage in run.plan.stages}
    some = None
    if wanted is not None:
        some = [
            StageRetry(
                stages[name].id,
                None if tasks is None else [one.id for one in stages[name].tasks if one.task.name in tasks],
            )
            for name, tasks in wanted
        ]
    return Run(
        json.loads(msgspec.json.encode(retry_params(run.plan, ended(run), some))),
        id=f"run~{run.plan.retry_attempt + 1}",
    )


def failed_at_b(options: Any = None, **members: Any) -> Run:
    """Return a run of two stages that failed by `b` of the first."""
    run = Run(flow(["a", "b"], ["c"], options=options or {}, **members))
    run.succeed("a", {"n": 1})
    run.fail("b")
    return run


def test_a_bare_retry_runs_every_task_again() -> None:
    run = retried(failed_at_b())
    assert run.live == ["a", "b"]
    assert (run.plan.id, run.plan.retry_attempt) == ("run", 1)
    run.succeed("a")
    run.succeed("b")
    run.succeed("c")
    assert run.ending["status"] == "COMPLETED"


def test_a_bare_retry_runs_what_has_not_succeeded_when_execution_is_exactly_once() -> None:
    run = retried(failed_at_b(ONCE))
    assert run.live == ["b"]
    run.succeed("b", {"n": 2})
    assert run.live == ["c"]
    before = run.params_of("c")["meta"]["taskflowExecutionContext"]["previousStageRes"]
    assert before == [{"taskName": "a", "response": {"n": 1}}, {"taskName": "b", "response": {"n": 2}}]


def test_the_option_of_a_task_says_whether_that_task_runs_again() -> None:
    first = Run(flow([task("a", options=ONCE), "b"]))
    first.succeed("a")
    first.fail("b")
    assert retried(first).live == ["b"]


@pytest.mark.shows("taskflow/retry-stage")
def test_given_stages_run_again_and_later_ones_that_ran_are_not_touched() -> None:
    first = Run(flow(["a"], ["b"], ["c"], options=GO_ON))
    first.fail("a")
    first.succeed("b")
    first.fail("c")
    run = retried(first, [("s1", None)])
    assert run.live == ["a"]
    run.succeed("a")
    assert (run.outcome, run.ending["status"]) == ("succeeded", "PARTIAL_COMPLETED")
    assert [stage["status"] for stage in run.ending["stages"]] == ["COMPLETED", "COMPLETED", "FAILED"]
    run = retried(run, [("s3", None)])
    run.succeed("c")
    assert run.ending["status"] == "COMPLETED"


def test_given_tasks_run_again_in_the_order_of_their_stages() -> None:
    first = Run(flow(["a", "b"], ["c", "d"]))
    for name in "abcd":
        first.succeed(name, {"of": name})
    run = retried(first, [("s2", ["d"]), ("s1", ["b"])])
    assert run.live == ["b"]
    run.succeed("b", {"of": "b again"})
    assert run.live == ["d"]
    before = run.params_of("d")["meta"]["taskflowExecutionContext"]["previousStageRes"]
    assert before == [{"taskName": "a", "response": {"of": "a"}}, {"taskName": "b", "response": {"of": "b again"}}]
    run.succeed("d")
    assert run.ending["status"] == "COMPLETED"


def test_a_task_that_never_ran_runs_with_its_stage() -> None:
    run = retried(failed_at_b(), [("s1", ["b"])])
    run.succeed("b")
    assert run.live == ["c"]


@pytest.mark.shows("taskflow/previous-stage-null")
def test_a_stage_after_a_kept_failure_runs_only_when_it_is_named() -> None:
    run = retried(failed_at_b(), [("s2", None)])
    assert run.live == ["c"]
    before = run.params_of("c")["meta"]["taskflowExecutionContext"]["previousStageRes"]
    assert before == [{"taskName": "a", "response": {"n": 1}}, {"taskName": "b", "response": None}]
    run.succeed("c")
    assert (run.outcome, run.ending["status"]) == ("failed", "FAILED")
    first = Run(flow(["a", "b"], ["c"], ["d"]))
    first.fail("a")
    first.fail("b")
    run = retried(first, [("s1", ["a"])])
    run.succeed("a")
    assert (run.outcome, [stage["status"] for stage in run.ending["stages"]]) == (
        "failed",
        ["FAILED", "WAITING", "WAITING"],
    )


def test_a_failure_in_a_retry_stops_the_named_stages_after_it() -> None:
    run = retried(failed_at_b(), [("s1", None), ("s2", None)])
    run.succeed("a")
    run.fail("b")
    assert run.outcome == "failed"
    assert "c" not in [run.names[label] for label in run.activities]


@pytest.mark.shows("taskflow/stage-waiting")
def test_a_stage_before_its_turn_is_waiting_whatever_tasks_are_kept() -> None:
    first = Run(flow(["a"], ["b", "c"], options=GO_ON))
    first.fail("a")
    first.succeed("b")
    first.fail("c")
    run = retried(first, [("s1", None), ("s2", ["c"])])
    assert [stage.status for stage in ended(run).stages] == ["WAITING", "WAITING"]
    run.succeed("a")
    assert [stage.status for stage in ended(run).stages] == ["COMPLETED", "RUNNING"]
    stopped = retried(failed_with_c_done(), [("s1", None), ("s2", ["d"])])
    stopped.fail("a")
    assert (stopped.outcome, [stage["status"] for stage in stopped.ending["stages"]]) == (
        "failed",
        ["FAILED", "FAILED"],
    )
    assert [stage.status for stage in ended(stopped).stages] == ["FAILED", "FAILED"]


def failed_with_c_done() -> Run:
    run = Run(flow(["a"], ["c", "d"]))
    run.succeed("a")
    run.succeed("c")
    run.fail("d")
    return run


def test_ids_and_age_are_kept_by_retries() -> None:
    first = failed_at_b()
    run = retried(retried_to_failure(first))
    assert [stage.id for stage in run.plan.stages] == [stage.id for stage in first.plan.stages]
    assert run.plan.created_at == first.plan.created_at
    assert run.plan.retry_attempt == 2


def retried_to_failure(first: Run) -> Run:
    run = retried(first)
    run.fail("a")
    run.fail("b")
    return run


@pytest.mark.parametrize(
    ("wanted", "at"),
    [
        ([StageRetry("nope")], "stages[0].stageId"),
        ([StageRetry("S2"), StageRetry("S1", ["nope"])], "stages[1].taskIds[0]"),
        ([StageRetry("S1", ["B", "A"])], "stages[0].taskIds[1]"),
    ],
)
def test_named_stages_of_a_retry_must_exist_and_must_be_repeatable(wanted: list[StageRetry], at: str) -> None:
    run = failed_at_b(ONCE)
    ids = {"S1": run.plan.stages[0].id, "S2": run.plan.stages[1].id}
    ids |= {one.task.name.upper(): one.id for stage in run.plan.stages for one in stage.tasks}
    named = [
        StageRetry(ids.get(one.stage_id, one.stage_id), one.task_ids and [ids.get(id, id) for id in one.task_ids])
        for one in wanted
    ]
    with pytest.raises(Refusal) as refused:
        retry_params(run.plan, ended(run), named)
    assert refused.value.field == at


def test_a_retry_with_nothing_to_run_is_refused() -> None:
    run = Run(flow(["a"], options=ONCE))
    run.succeed("a")
    for wanted in (None, [StageRetry(run.plan.stages[0].id)]):
        with pytest.raises(Refusal) as refused:
            retry_params(run.plan, ended(run), wanted)
        assert refused.value.kind.type == "nothing-to-retry"


def test_a_canceled_flow_can_be_retried() -> None:
    run = Run(flow(["a", "b"], ["c"], options=ONCE))
    run.succeed("a")
    order = retry_params(run.plan, ended(run, "canceled"), None)
    following = Run(json.loads(msgspec.json.encode(order)), id="run~1")
    assert following.live == ["b"]
