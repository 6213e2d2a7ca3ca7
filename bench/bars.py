"""The bars: figures of a run with the values that Fencepost must (floor) and should (goal) reach."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from bench.plan import BATCH, BATCHES, NO_HISTORY, OURS, PEERS, PYTHON_PEERS, SINGLE
from bench.samples import Samples

_CEILING = BATCHES[-1:]
_FLOWS = "fencepost:workflows"


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar; with `lower` smaller values are better."""

    what: str
    measured: float
    floor: float
    goal: float
    lower: bool = False

    @property
    def verdict(self) -> str:
        """The verdict for the table."""
        sign = -1 if self.lower else 1
        if sign * self.measured >= sign * self.goal:
            return "goal met"
        return "floor met" if sign * self.measured >= sign * self.floor else "MISSED"


def bars(samples: Samples) -> list[Bar]:
    """Return the bars for which there are samples."""
    return [
        Bar(what, measured / against, floor, goal, lower)
        for measures, lower in ((_costs(samples), True), (_ratios(samples), False))
        for what, measured, against, floor, goal in measures
        if measured is not None and against
    ]


# The name, the measured value, the one that it is divided by, floor and goal.
_Measure = tuple[str, float | None, float | None, float, float]


def _costs(samples: Samples) -> Iterator[_Measure]:
    """Yield the bars of which smaller values are better."""
    median = samples.median
    for part, group, floor, goal in (("Postgres", "postgres_us", 24.0, 21.0), ("server", "server_us", 5.0, 3.5)):
        yield f"drain, us of CPU a task: {part}", median("drain", OURS, group), 1.0, floor, goal
    yield "drain, us of CPU a task: worker", median("drain", OURS, "client_us"), 1.0, 7.0, 5.0
    spent = _sum(median("in-flight", SINGLE, "postgres_us"), median("in-flight", SINGLE, "server_us"))
    yield "single creates, us a task: server + Postgres", spent, 1.0, 150.0, 100.0
    yield "single creates, us a task: client", median("in-flight", SINGLE, "client_us"), 1.0, 90.0, 50.0
    yield "us a step of ten-step workflows", median("steps", _FLOWS, "us"), 1.0, 250.0, 150.0
    for share, floor in ((0.5, 1.3), (0.99, 2.0)):
        best = min((value for name in PEERS if (value := _latency(samples, name, share)) is not None), default=None)
        yield f"create to start p{share * 100:.0f} / best peer", _latency(samples, OURS, share), best, floor, 1.0
    yield "WAL KiB a task, create and drain", _both(samples, OURS, "wal_bytes"), 1024.0, 1.3, 1.0
    small, large = (_both(samples, f"{OURS}:{size}", "postgres_us") for size in ("1kb", "10kb"))
    yield "Postgres CPU with 10 KB params / with 1 KB", large, small, 5.0, 3.0
    # The floors of these and the last ratios are the results before, less a tenth for the noise of a run.
    yield "KiB an idle poll", median("idle", OURS, "kib_each"), 1.0, 20.7, 15.0
    yield "queries/s with idle polls", median("idle", OURS, "queries_per_second"), 1.0, 1.0, 1.0
    yield "% of a core with idle polls", median("idle", OURS, "core_percent"), 1.0, 2.0, 0.3


def _ratios(samples: Samples) -> Iterator[_Measure]:
    """Yield the bars of which larger values are better."""
    drain, create = samples.median("drain", OURS, "rate"), samples.median("create", OURS, "rate")
    yield "drain / best Python peer", drain, samples.best("drain", PYTHON_PEERS, "rate"), 1.7, 2.0
    yield "drain, batch handlers / pg-boss", *_pair(samples, "drain", BATCH, "pg_boss"), 0.9, 1.1
    yield "drain, no history / graphile-worker", *_pair(samples, "drain", NO_HISTORY, "graphile_worker"), 0.8, 1.0
    yield "drain / plain SQL in batches of 1,000", drain, samples.best("drain", _CEILING, "rate"), 0.6, 0.75
    yield "bulk create / best peer", create, samples.best("create", PEERS, "rate"), 1.3, 2.0
    yield "single calls / empty Starlette handler", *_pair(samples, "single", SINGLE, "starlette"), 0.75, 1.0
    for what, name, floor in (
        ("1,000 keys with limit 2 / without", "limits", 0.67),
        ("beside finished and waiting tasks / without", "loaded", 0.87),
        ("with a snapshot held / without", "snapshot", 0.8),
        ("two servers / one", "two", 1.0),
    ):
        yield what, *_pair(samples, "drain", f"{OURS}:{name}", OURS), floor, 1.0
    # A workflow creates and drains its steps in one figure.
    made_and_drained = None if not (drain and create) else 1 / (1 / drain + 1 / create)
    yield "steps of workflows / tasks", samples.median("drain", _FLOWS, "rate"), made_and_drained, 0.65, 1.0


def _pair(samples: Samples, figure: str, name: str, against: str) -> tuple[float | None, float | None]:
    return samples.median(figure, name, "rate"), samples.median(figure, against, "rate")


def _latency(samples: Samples, name: str, share: float) -> float | None:
    return samples.quantile("latency", name, "ms", share)


def _both(samples: Samples, name: str, what: str) -> float | None:
    """Return the cost of a task from its creation to its end."""
    return _sum(samples.median("create", name, what), samples.median("drain", name, what))


def _sum(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one + other
