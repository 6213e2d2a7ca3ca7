"""How an import is shown: a tree of bars on a terminal, a line for each thing that is done elsewhere."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Protocol, Self

import click
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from fencepost.demo.definition import WORKFLOW
from fencepost.demo.imports import Import, Whole


class Display(Protocol):
    """Something that shows how a workflow stands."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...

    def show(self, whole: Whole) -> None:
        """Show how it stands now."""
        ...


def display() -> Display:
    """Return what suits stdout."""
    return Bars() if sys.stdout.isatty() else Lines()


class Lines:
    """A line for the workflow when it has begun, and one for each of its tasks when that is done."""

    def __init__(self) -> None:
        self._told: set[str] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Leave what was said."""

    def show(self, whole: Whole) -> None:
        """Tell what has been done since."""
        self._tell(whole.id, f"{WORKFLOW} {whole.id}:")
        for one in whole.imports:
            if one.done:
                self._tell(one.label, f"  {one.label}: {_count(one)}{_remark(one)}")
        if whole.check is not None and "outcome" in whole.check:
            self._tell("check", f"  check: {_of_check(whole)}")

    def _tell(self, key: str, line: str) -> None:
        if key not in self._told:
            self._told.add(key)
            click.echo(line)


class Bars:
    """A live bar for the workflow, and below it one for each file and one for the check."""

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

    def show(self, whole: Whole) -> None:
        """Move the bars."""
        imports = whole.imports
        if not self._bars:
            names = [WORKFLOW, *(f"  {one.label}" for one in imports), "  check"]
            self._bars = [self._progress.add_task(name, total=None, count="", remark="") for name in names]
        rows = sum(one.rows for one in imports)
        totals = [one.total for one in imports if one.total is not None]
        total = sum(totals) if len(totals) == len(imports) else None
        done = sum(one.done for one in imports)
        top, *files, check = self._bars
        self._move(top, rows, total, f"{rows:,} rows", whole.outcome or f"{done} of {len(imports)} files done")
        for bar, one in zip(files, imports, strict=True):
            self._move(bar, one.rows, one.total, _count(one), _remark(one))
        if whole.check is not None:
            ended = "outcome" in whole.check
            self._move(check, int(ended), 1 if ended else None, "", _of_check(whole))

    def _move(self, bar: TaskID, rows: int, total: int | None, count: str, remark: str) -> None:
        # An empty file is complete, and rich takes a total of 0 for no part of it.
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


def _of_check(whole: Whole) -> str:
    check = whole.check or {}
    return str(check.get("outcome") or check.get("status", ""))
