"""The display of an import: a tree of progress bars on a terminal, else a line for each finished task."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Protocol, Self

import click
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from fencepost.demo.definition import WORKFLOW
from fencepost.demo.imports import Import, ImportWorkflow


class Display(Protocol):
    """Shows the progress of a workflow."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...

    def show(self, workflow: ImportWorkflow) -> None:
        """Show the current progress."""
        ...


def display() -> Display:
    """Return bars if stdout is a terminal, else lines."""
    return Bars() if sys.stdout.isatty() else Lines()


class Lines:
    """Prints a line when the workflow starts, and one for each of its tasks when that is done."""

    def __init__(self) -> None:
        self._printed: set[str] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Do nothing: the lines are printed."""

    def show(self, workflow: ImportWorkflow) -> None:
        """Print a line for each task that is done since the last call."""
        self._print_once(workflow.id, f"{WORKFLOW} {workflow.id}:")
        for one in workflow.imports:
            if one.done:
                self._print_once(one.label, f"  {one.label}: {_count(one)}{_remark(one)}")
        if workflow.check is not None and "outcome" in workflow.check:
            self._print_once("check", f"  check: {_of_check(workflow)}")

    def _print_once(self, key: str, line: str) -> None:
        if key not in self._printed:
            self._printed.add(key)
            click.echo(line)


class Bars:
    """Progress bars: one for the workflow, and below it one for each file and one for the check."""

    def __init__(self) -> None:
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.fields[count]}", justify="right", markup=False),
            TimeElapsedColumn(),
            TextColumn("{task.fields[remark]}", markup=False),
        )
        self._bars: list[TaskID] = []

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._progress.stop()

    def show(self, workflow: ImportWorkflow) -> None:
        """Update the bars."""
        imports = workflow.imports
        if not self._bars:
            names = [WORKFLOW, *(f"  {one.label}" for one in imports), "  check"]
            self._bars = [self._progress.add_task(name, total=None, count="", remark="") for name in names]
        rows = sum(one.rows for one in imports)
        totals = [one.total for one in imports if one.total is not None]
        total = sum(totals) if len(totals) == len(imports) else None
        done = sum(one.done for one in imports)
        top, *files, check = self._bars
        self._move(top, rows, total, f"{rows:,} rows", workflow.outcome or f"{done} of {len(imports)} files done")
        for bar, one in zip(files, imports, strict=True):
            self._move(bar, one.rows, one.total, _count(one), _remark(one))
        if workflow.check is not None:
            ended = "outcome" in workflow.check
            self._move(check, int(ended), 1 if ended else None, "", _of_check(workflow))

    def _move(self, bar: TaskID, rows: int, total: int | None, count: str, remark: str) -> None:
        # rich shows a total of 0 as no progress, but an empty file is complete.
        self._progress.update(
            bar, completed=1 if total == 0 else rows, total=1 if total == 0 else total, count=count, remark=remark
        )


def _count(one: Import) -> str:
    return f"{one.rows:,} rows"


def _remark(one: Import) -> str:
    words = []
    if one.attempts > 1:
        words.append(f"attempt {one.attempts}")
    if one.done and not one.succeeded:
        words.append(f"{one.outcome}")
    return f" ({'; '.join(words)})" if words else ""


def _of_check(workflow: ImportWorkflow) -> str:
    check = workflow.check or {}
    return str(check.get("outcome") or check.get("status", ""))
