"""How an import is shown: a bar a file on a terminal, a line a file elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from types import TracebackType
from typing import Protocol, Self

import click
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from fencepost.demo.imports import Import


class Display(Protocol):
    """Something that shows how imports stand."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...

    def show(self, imports: Sequence[Import]) -> None:
        """Show how they stand now."""
        ...


def display() -> Display:
    """Return what suits stdout."""
    return Bars() if sys.stdout.isatty() else Lines()


class Lines:
    """A line for each file when it is done."""

    def __init__(self) -> None:
        self._told: set[str] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Leave what was said."""

    def show(self, imports: Sequence[Import]) -> None:
        """Tell those that have been done since."""
        for one in imports:
            if one.done and one.id not in self._told:
                self._told.add(one.id)
                click.echo(f"{one.source.name}: {_count(one)}{_remark(one)}")


class Bars:
    """A live bar for each file, and one for all."""

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

    def show(self, imports: Sequence[Import]) -> None:
        """Move the bars."""
        if not self._bars:
            names = [one.source.name for one in imports]
            self._bars = [self._progress.add_task(name, total=None, count="", remark="") for name in (*names, "total")]
        for bar, one in zip(self._bars, imports, strict=False):
            self._move(bar, one.rows, one.total, _count(one), _remark(one))
        rows = sum(one.rows for one in imports)
        totals = [one.total for one in imports if one.total is not None]
        total = sum(totals) if len(totals) == len(imports) else None
        done = sum(one.done for one in imports)
        self._move(self._bars[-1], rows, total, f"{rows:,} rows", f"{done} of {len(imports)} tasks done")

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
