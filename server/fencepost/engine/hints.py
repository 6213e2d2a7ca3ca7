"""What the engine tells the parts that wait: that work became ready, and that a deadline lies ahead.

A hint only saves waiting: whoever misses one finds the same in the database a little later.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from fencepost.store.batches import Hint


class Hints:
    """Passes hints on to whoever listens."""

    def __init__(self) -> None:
        self.on_ready: list[Callable[[str, int], None]] = []
        self.on_deadline: list[Callable[[float], None]] = []
        self.on_definition: list[Callable[[str], None]] = []

    def follow(self, hints: Sequence[Hint]) -> None:
        """Tell what a transaction brought about besides what it was called for."""
        for definition, count in Counter(hint.definition for hint in hints if hint.due_in is None).items():
            self.ready(definition, count)
        for hint in hints:
            if hint.due_in is not None:
                self.deadline(hint.due_in)

    def ready(self, definition: str, count: int = 1) -> None:
        """Tell that `count` tasks of a definition became ready."""
        for listener in self.on_ready:
            listener(definition, count)

    def deadline(self, seconds: float) -> None:
        """Tell that a deadline was armed that lies `seconds` ahead."""
        for listener in self.on_deadline:
            listener(seconds)

    def definition(self, name: str) -> None:
        """Tell that a definition was put or deleted."""
        for listener in self.on_definition:
            listener(name)
