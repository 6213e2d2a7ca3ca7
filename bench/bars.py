"""The bars: ratios of the samples with the values that Fencepost must (floor) and should (goal) reach."""

from __future__ import annotations

from dataclasses import dataclass

from bench.plan import BATCHES, OURS, PEERS, PYTHON_PEERS, SINGLE
from bench.samples import Samples


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
        if not self.floor:
            return "below"
        return "floor met" if sign * self.measured >= sign * self.floor else "MISSED"


def bars(samples: Samples) -> list[Bar]:
    """Return the bars for which there are samples."""
    ceiling = BATCHES[-1:]
    drain, create = samples.median("drain", OURS, "rate"), samples.median("create", OURS, "rate")
    half, most = (samples.quantile("latency", OURS, "ms", share) for share in (0.5, 0.99))
    best_half, best_most = (_best_latency(samples, share) for share in (0.5, 0.99))
    flows = samples.median("drain", "fencepost:workflows", "rate")
    # A workflow creates and drains its steps in one figure.
    made_and_drained = None if not (drain and create) else 1 / (1 / drain + 1 / create)
    ratios = [
        ("drain / plain SQL in batches of 1,000", drain, samples.best("drain", ceiling, "rate"), 0.6, 1.0, False),
        ("drain / best Python peer", drain, samples.best("drain", PYTHON_PEERS, "rate"), 1.0, 2.0, False),
        ("drain / best peer", drain, samples.best("drain", PEERS, "rate"), 0.0, 1.0, False),
        ("bulk create / best peer", create, samples.best("create", PEERS, "rate"), 0.7, 1.5, False),
        ("single calls / empty Starlette handler", *_pair(samples, "single", SINGLE, "starlette"), 0.7, 1.0, False),
        ("create to start p50 / best peer", half, best_half, 2.0, 1.0, True),
        ("create to start p99 / best peer", most, best_most, 2.0, 1.0, True),
        ("KiB an idle poll", samples.median("idle", OURS, "kib_each"), 1.0, 40.0, 15.0, True),
        ("queries/s with idle polls", samples.median("idle", OURS, "queries_per_second"), 1.0, 1.0, 1.0, True),
        ("% of a core with idle polls", samples.median("idle", OURS, "core_percent"), 1.0, 100.0, 2.0, True),
        ("WAL KiB a task, create and drain", _both(samples, "wal_bytes"), 1024.0, 2.0, 1.0, True),
        ("commits a task, create and drain", _both(samples, "commits"), 1.0, 0.1, 0.02, True),
        ("loaded / empty", *_pair(samples, "drain", "fencepost:loaded", OURS), 0.8, 1.0, False),
        ("with a snapshot held / without", *_pair(samples, "drain", "fencepost:snapshot", OURS), 0.7, 1.0, False),
        ("1,000 keys with limit 2 / without", *_pair(samples, "drain", "fencepost:limits", OURS), 0.5, 0.8, False),
        ("steps of workflows / tasks, made and drained", flows, made_and_drained, 0.5, 1.0, False),
        ("steps of workflows / tasks, drained", flows, drain, 0.5, 1.0, False),
        ("Postgres CPU with 10 KB params / with 1 KB", *_payloads(samples), 5.0, 3.0, True),
        ("two servers / one", *_pair(samples, "drain", "fencepost:two", OURS), 0.0, 1.0, False),
    ]
    return [
        Bar(what, measured / against, floor, goal, lower)
        for what, measured, against, floor, goal, lower in ratios
        if measured is not None and against
    ]


def _pair(samples: Samples, figure: str, name: str, against: str) -> tuple[float | None, float | None]:
    return samples.median(figure, name, "rate"), samples.median(figure, against, "rate")


def _payloads(samples: Samples) -> tuple[float | None, float | None]:
    return _both(samples, "postgres_us", "fencepost:10kb"), _both(samples, "postgres_us", "fencepost:1kb")


def _both(samples: Samples, what: str, name: str = OURS) -> float | None:
    create, drain = samples.median("create", name, what), samples.median("drain", name, what)
    return None if create is None or drain is None else create + drain


def _best_latency(samples: Samples, share: float) -> float | None:
    values = [value for name in PEERS if (value := samples.quantile("latency", name, "ms", share)) is not None]
    return min(values, default=None)
