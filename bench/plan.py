"""What a run does: who takes part in what, how often, how much."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

BATCHES = ("sql:1", "sql:10", "sql:100", "sql:1000")
PEERS = ("pgqueuer", "procrastinate", "awa", "graphile_worker", "pg_boss")
PYTHON_PEERS = ("pgqueuer", "procrastinate", "awa")
OURS = "fencepost"
# A server of its own for the single calls: what they leave in the tables is not for its drains to pay.
SINGLE = "fencepost:single"
VARIANTS = (
    *("fencepost:two", "fencepost:workers", "fencepost:workflows"),
    *("fencepost:limits", "fencepost:loaded", "fencepost:snapshot"),
)
EVERYBODY = (*BATCHES, *PEERS, OURS, SINGLE, "starlette", *VARIANTS)
# Who shows how long a created task waits: the batch size of plain SQL has no part in it.
LATENCY = ("sql:1", *PEERS, OURS)
FIGURES = ("create", "drain", "single", "latency", "idle")


@dataclass(frozen=True, slots=True)
class Plan:
    """How much of everything; `most_seconds` bounds a drain: a slow contestant gets fewer tasks."""

    rounds: int = 3
    count: int = 10_000
    most_seconds: float = 3.0
    latencies: int = 50
    # Seconds for one step of a contestant; who needs longer hangs.
    patience: float = 60.0
    single_seconds: int = 4
    idle_polls: int = 10_000
    idle_seconds: float = 15.0
    finished: int = 200_000
    waiting: int = 50_000
    # Workflows of ten activities each; fewer of them make smaller batches.
    flows: int = 2_000
    contestants: tuple[str, ...] = EVERYBODY
    figures: tuple[str, ...] = FIGURES
    # For Fencepost's lanes: more arguments of the server, worker processes, concurrency and so on.
    ours: dict[str, Any] = field(default_factory=dict)

    def takes_part(self, name: str, figure: str) -> bool:
        """Whether a contestant is measured for a figure."""
        if figure not in self.figures or name not in self.contestants:
            return False
        match figure:
            case "single":
                return name in {SINGLE, "starlette"}
            case "latency":
                return name in LATENCY
            case "idle":
                return name == OURS
            case _:
                return name not in {SINGLE, "starlette"}


SHORT = Plan()
FULL = Plan(
    rounds=8,
    count=20_000,
    most_seconds=10.0,
    latencies=200,
    patience=600.0,
    single_seconds=8,
    idle_seconds=30.0,
    finished=5_000_000,
    waiting=500_000,
    flows=10_000,
)
