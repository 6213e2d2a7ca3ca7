"""Where in a run an activity stands: its attempt, step and try, which are its label."""

from __future__ import annotations

from typing import NamedTuple


class StepTry(NamedTuple):
    """The `number`-th try of a step in an attempt of the run; all begin with 1, and the order is that of time."""

    attempt: int
    step: int
    number: int

    @classmethod
    def parse(cls, label: str) -> StepTry:
        """Return the place behind a label."""
        return cls(*map(int, label.split("/")))

    @property
    def label(self) -> str:
        """What an activity there is called."""
        return f"{self.attempt}/{self.step}/{self.number}"

    @property
    def is_retry(self) -> bool:
        """Whether something was tried before that this is to make good."""
        return self.number > 1 or (self.attempt > 1 and self.step == 1)

    def next_step(self) -> StepTry:
        """Return the first try of the next step."""
        return StepTry(self.attempt, self.step + 1, 1)

    def next_try(self) -> StepTry:
        """Return the next try of this step."""
        return StepTry(self.attempt, self.step, self.number + 1)

    def next_attempt(self) -> StepTry:
        """Return the beginning of the next attempt."""
        return StepTry(self.attempt + 1, 1, 1)


FIRST_TRY = StepTry(1, 1, 1)
