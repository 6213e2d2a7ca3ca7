"""Contestants like for like: grouped by what they keep of a finished task, and by the size of their handler calls."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from bench.plan import BATCHES, COMPARED, OURS
from bench.samples import Samples

_TITLES = {
    ("kept", False): "History kept, one handler call a task",
    ("kept", True): "History kept, one handler call a batch",
    ("deleted", False): "History deleted, one handler call a task",
    ("deleted", True): "History deleted, one handler call a batch",
}
# The headings of the cells. CPU is Postgres + server + all other processes, for each task.
COLUMNS = ("drain/s", "CPU us", "WAL B", "tasks a call", "create/s", "CPU us", "WAL B", "keeps")


@dataclass(frozen=True, slots=True)
class Row:
    """A contestant: its cells, and the name of the row."""

    name: str
    cells: tuple[str, ...]

    @property
    def is_ours(self) -> bool:
        """Whether it is Fencepost."""
        return self.name.startswith(OURS)


def groups(samples: Samples) -> Iterator[tuple[str, list[Row]]]:
    """Yield a title and the rows of each group, the fastest drain first, and plain SQL last."""
    for (history, in_batches), title in _TITLES.items():
        names = [
            name
            for name in COMPARED
            if (manner := samples.manners.get(name)) is not None
            and (manner.history, manner.batch > 1) == (history, in_batches)
            and samples.median("drain", name, "rate")
        ]
        names.sort(key=lambda name: (name in BATCHES, -(samples.median("drain", name, "rate") or 0)))
        if names:
            yield title, [_row(samples, name) for name in names]


def _row(samples: Samples, name: str) -> Row:
    return Row(
        name,
        (
            *costs(samples, "drain", name),
            _number(samples.median("drain", name, "batch")),
            *costs(samples, "create", name),
            samples.manners[name].keeps,
        ),
    )


def costs(samples: Samples, figure: str, name: str) -> Iterator[str]:
    """Yield the rate, the CPU and the write-ahead log of a task."""
    yield _number(samples.median(figure, name, "rate"))
    parts = [samples.median(figure, name, f"{group}_us") for group in ("postgres", "server", "client")]
    yield "-" if None in parts else " + ".join(f"{part:.0f}" for part in parts)
    yield _number(samples.median(figure, name, "wal_bytes"))


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:,.0f}"
