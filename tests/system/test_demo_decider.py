"""Decisions of the demo's workflow, event by event, without a server."""

from __future__ import annotations

from typing import Any

from fencepost.demo.decider import decide
from fencepost.demo.imports import labels
from fencepost.demo.source import Source
from fencepost_sdk.testing import Run


def begun(count: int) -> Run:
    """Begin an import of `count` files."""
    files = [{"label": f"{n}.ndjson", "params": {"input": {"url": f"file:///{n}"}}} for n in range(count)]
    return Run(decide, {"files": files})


def imported(rows: int) -> dict[str, Any]:
    return {"imported-resources": rows}


def test_the_demo_checks_rows_after_every_file_with_the_reported_counts() -> None:
    run = begun(2)
    assert run.live == ["0.ndjson", "1.ndjson"]
    assert run.complete("1.ndjson", imported(5)) == []
    run.complete("0.ndjson", imported(7))
    assert run.live == ["check"]
    assert [(file["name"], file["rows"]) for file in run.activities["check"].params["files"]] == [
        ("0.ndjson", 7),
        ("1.ndjson", 5),
    ]
    run.complete("check", {"rows": 12})
    assert (run.outcome, run.result) == ("succeeded", {"tasks": 3, "rows": 12})


def test_a_failed_file_fails_the_import_after_the_other_files_are_done() -> None:
    run = begun(3)
    run.fail("0.ndjson", {"message": "line 2: not JSON"})
    run.cancel("2.ndjson")
    assert run.outcome is None
    run.complete("1.ndjson", imported(5))
    assert run.outcome == "failed"
    reasons = "0.ndjson (line 2: not JSON), 2.ndjson (the task was canceled)"
    assert run.error == {"message": f"2 of 3 tasks did not succeed: {reasons}"}


def test_missing_rows_fail_the_import_with_the_message_of_the_check() -> None:
    run = begun(1)
    run.complete("0.ndjson", imported(5))
    run.fail("check", {"message": "0.ndjson has 5 rows, and the database has 4 of them"})
    assert run.error == {"message": "0.ndjson has 5 rows, and the database has 4 of them"}


def test_files_beyond_the_limit_of_one_decision_are_started_by_the_next_decisions() -> None:
    run = begun(1200)
    assert len(run.live) == 500
    run.complete("0.ndjson", imported(1))
    run.complete("1.ndjson", imported(1))
    assert len(run.live) == 1198


def test_files_with_one_name_get_different_labels() -> None:
    def source(name: str) -> Source:
        return Source(name, "file:///x", "plain", "x")

    assert list(labels([source("a.ndjson"), source("b.ndjson")])) == ["a.ndjson", "b.ndjson"]
    assert list(labels([source("a.ndjson"), source("a.ndjson")])) == ["1: a.ndjson", "2: a.ndjson"]
    assert len(max(labels([source("a" * 250), source("b")]), key=len)) <= 200
