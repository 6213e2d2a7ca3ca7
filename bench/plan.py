"""The plan of a run: its contestants, figures, rounds and counts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

BATCHES = ("sql:1", "sql:10", "sql:100", "sql:1000")
PYTHON_PEERS = ("pgqueuer", "procrastinate", "awa", "oban", "dbos", "absurd")
PEERS = (*PYTHON_PEERS, "graphile_worker", "pg_boss", "river")
OURS = "fencepost"
# One handler call for a batch, and no history: each has peers that work like it.
BATCH = "fencepost:batch"
NO_HISTORY = "fencepost:keep-none"
# The single calls have their own server, so that their rows do not slow down its drains.
SINGLE = "fencepost:single"
VARIANTS = (
    BATCH,
    *("fencepost:two", "fencepost:workers", "fencepost:workflows"),
    *("fencepost:limits", "fencepost:loaded", "fencepost:snapshot"),
    *("fencepost:1kb", "fencepost:10kb"),
    NO_HISTORY,
)
EVERYBODY = (*BATCHES, *PEERS, OURS, SINGLE, "starlette", *VARIANTS)
# Contestants that are compared like for like.
COMPARED = (BATCHES[-1], *PEERS, OURS, BATCH, NO_HISTORY)
# Contestants of the latency figure, for which the batch size of plain SQL does not matter.
LATENCY = ("sql:1", *PEERS, OURS)
FIGURES = ("create", "drain", "single", "in-flight", "latency", "idle")


@dataclass(frozen=True, slots=True)
class Plan:
    """The counts of a run; `most_seconds` limits a drain: a slow contestant gets fewer tasks."""

    rounds: int = 3
    count: int = 10_000
    most_seconds: float = 1.5
    latencies: int = 30
    # Seconds after which a step of a contestant counts as hung.
    patience: float = 60.0
    single_seconds: int = 3
    # Tasks that are created one by one, with 32 calls in flight.
    in_flight: int = 2_000
    idle_polls: int = 10_000
    idle_seconds: float = 10.0
    finished: int = 100_000
    waiting: int = 50_000
    # Workflows of ten activities each; with fewer the batches are smaller.
    flows: int = 1_000
    contestants: tuple[str, ...] = EVERYBODY
    figures: tuple[str, ...] = FIGURES
    # Options of the Fencepost contestants: further server arguments, worker processes, concurrency and so on.
    ours: dict[str, Any] = field(default_factory=dict)

    def takes_part(self, name: str, figure: str) -> bool:
        """Whether a contestant is measured for a figure."""
        if figure not in self.figures or name not in self.contestants:
            return False
        match figure:
            case "single":
                return name in {SINGLE, "starlette"}
            case "in-flight":
                return name == SINGLE
            case "latency":
                return name in LATENCY
            case "idle":
                return name == OURS
            case _:
                return name not in {SINGLE, "starlette"}


# Without the contestants that no bar needs.
_SHORT = tuple(name for name in EVERYBODY if name not in (*BATCHES[:-1], "fencepost:workers"))
SHORT = Plan(contestants=_SHORT)
FULL = Plan(
    rounds=8,
    count=20_000,
    most_seconds=10.0,
    latencies=200,
    patience=600.0,
    single_seconds=8,
    in_flight=10_000,
    idle_seconds=30.0,
    finished=5_000_000,
    waiting=500_000,
    flows=10_000,
)
