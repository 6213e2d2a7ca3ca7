"""A claim in the transaction that creates tasks: a poll that waits for them gets them without a second commit."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from fencepost.domain.task import task_of
from fencepost.store.calls import ClaimAsk
from fencepost.store.leases import Claim, PollAnswer

# Stands in a row of create.sql for the seconds until the task is ready: a poll has it, or an older one, already.
HANDED_OVER = math.inf

Row = tuple[Any, ...]


class Handover(NamedTuple):
    """Polls that wait for new tasks of these definitions.

    The store calls `settle` with the answer to each of `asks`, or `abandon` when the create failed; both on the event
    loop.
    """

    definitions: Sequence[str]
    asks: Sequence[ClaimAsk]
    settle: Callable[[Mapping[int, PollAnswer]], None]
    abandon: Callable[[], None]


class ClaimOnCreate:
    """The claim of a handover, as the addition to a batch of creates."""

    def __init__(self, handover: Handover, claim: Claim) -> None:
        self._handover = handover
        self._claim = claim

    def calls(self) -> Sequence[tuple[str, Mapping[str, Any]]]:
        """Return the statements of the claim."""
        return self._claim.calls()

    def done(self, rows: Sequence[Row], added: Sequence[Sequence[Row]]) -> Iterable[Row]:
        """Answer the polls; mark as many new tasks as they got, which need no announcement."""
        answers = self._claim.answers(added)
        self._handover.settle(answers)
        left = sum(answer.number for answer in answers.values())
        for row in rows:
            is_handed = left > 0 and row[1] is None and task_of(row[2:]).definition in self._handover.definitions
            left -= is_handed
            yield (row[0], HANDED_OVER, *row[2:]) if is_handed else row

    def failed(self) -> None:
        """Let the polls be claimed for by themselves."""
        self._handover.abandon()
