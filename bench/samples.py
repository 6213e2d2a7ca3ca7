"""The samples of a run by figure and contestant, their medians, and notes; written as JSON."""

from __future__ import annotations

import dataclasses
import json
import statistics
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from bench.contestant import Manner


class Samples:
    """Samples of a run, in the order in which they were taken."""

    def __init__(self) -> None:
        self._taken: dict[str, dict[str, list[Mapping[str, float]]]] = {}
        self.notes: dict[str, list[str]] = {}
        self.manners: dict[str, Manner] = {}

    def add(self, figure: str, name: str, sample: Mapping[str, float]) -> None:
        """Add a sample."""
        self._taken.setdefault(figure, {}).setdefault(name, []).append(sample)

    def note(self, name: str, text: str) -> None:
        """Add a note."""
        self.notes.setdefault(name, []).append(text)

    def names(self, figure: str) -> list[str]:
        """Return the contestants with samples for a figure."""
        return list(self._taken.get(figure, ()))

    def values(self, figure: str, name: str, what: str) -> list[float]:
        """Return the values of one measure."""
        return [sample[what] for sample in self._taken.get(figure, {}).get(name, ())]

    def median(self, figure: str, name: str, what: str) -> float | None:
        """Return the median of a measure, None without samples."""
        values = self.values(figure, name, what)
        return statistics.median(values) if values else None

    def quantile(self, figure: str, name: str, what: str, share: float) -> float | None:
        """Return the value that `share` of the samples do not exceed, None without samples."""
        values = sorted(self.values(figure, name, what))
        return values[min(len(values) - 1, int(share * len(values)))] if values else None

    def best(self, figure: str, names: tuple[str, ...], what: str, *, lowest: bool = False) -> float | None:
        """Return the best median among some contestants, or None without samples."""
        medians = [median for name in names if (median := self.median(figure, name, what)) is not None]
        return (min if lowest else max)(medians) if medians else None

    @classmethod
    def read(cls, path: Path) -> tuple[Samples, dict[str, Any]]:
        """Return the samples that `write` has written, and the description of their run."""
        about = json.loads(path.read_text())
        samples = cls()
        samples._taken, samples.notes = about.pop("samples"), about.pop("notes")
        samples.manners = {name: Manner(**manner) for name, manner in about.pop("contestants").items()}
        return samples, about

    def write(self, path: Path, about: Mapping[str, Any]) -> None:
        """Write the samples and notes with the description of the run."""
        path.parent.mkdir(parents=True, exist_ok=True)
        now = datetime.now().astimezone().isoformat()
        manners = {name: dataclasses.asdict(manner) for name, manner in self.manners.items()}
        written = {"written": now, **about, "contestants": manners, "samples": self._taken, "notes": self.notes}
        path.write_text(json.dumps(written, indent=1) + "\n")
