"""Labels of the activities of a run: attempt of the run, step, and try of the step."""

from __future__ import annotations

from typing import NamedTuple


class StepTry(NamedTuple):
    """The `number`-th try of a step in an attempt of the run. All three count from 1; tries sort in order of time."""

    attempt: int
    step: int
    number: int

    @classmethod
    def parse(cls, label: str) -> StepTry:
        """Parse a label."""
        return cls(*map(int, label.split("/")))

    @property
    def label(self) -> str:
        """The label of the activity."""
        return f"{self.attempt}/{self.step}/{self.number}"

    @property
    def is_retry(self) -> bool:
        """Whether an earlier try of the step, or an earlier attempt of the run, did not succeed."""
        return self.number > 1 or (self.attempt > 1 and self.step == 1)

    def next_step(self) -> StepTry:
        """Return the first try of the next step."""
        return StepTry(self.attempt, self.step + 1, 1)

    def next_try(self) -> StepTry:
        """Return the next try of this step."""
        return StepTry(self.attempt, self.step, self.number + 1)

    def next_attempt(self) -> StepTry:
        """Return the first try of the first step in the next attempt."""
        return StepTry(self.attempt + 1, 1, 1)


FIRST_TRY = StepTry(1, 1, 1)
