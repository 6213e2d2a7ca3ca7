"""Wake-ups of the parts of a server that wait: tasks became ready or ended, a deadline was set, a definition changed.

A wake-up only saves waiting. A part that misses one finds the same in the database a little later.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from fencepost.store.batches import Wakeup


class Wakeups:
    """Publishes wake-ups to the listeners of this server."""

    def __init__(self) -> None:
        self.on_ready: list[Callable[[str, int], None]] = []
        self.on_deadline: list[Callable[[float], None]] = []
        self.on_definition: list[Callable[[str], None]] = []
        self.on_ended: Callable[[str, Sequence[str]], None] = lambda *_: None
        # Whether someone waits for the end of a task or workflow of a definition; nothing else is announced.
        self.is_awaited: Callable[[str], bool] = lambda _: False

    def publish(self, wakeups: Sequence[Wakeup]) -> None:
        """Publish the wake-ups that a transaction of the store returned."""
        for definition, count in Counter(wakeup.definition for wakeup in wakeups if wakeup.due_in is None).items():
            self.ready(definition, count)
        for wakeup in wakeups:
            if wakeup.due_in is not None:
                self.deadline(wakeup.due_in)

    def ready(self, definition: str, count: int = 1) -> None:
        """Announce that `count` tasks of a definition became ready."""
        for listener in self.on_ready:
            listener(definition, count)

    def deadline(self, seconds: float) -> None:
        """Announce a deadline in `seconds`."""
        for listener in self.on_deadline:
            listener(seconds)

    def ended(self, definition: str, ids: Iterable[str] = ()) -> None:
        """Announce that tasks or workflows of a definition have ended, and if they are known, which."""
        if self.is_awaited(definition):
            self.on_ended(definition, list(ids))

    def definition(self, name: str) -> None:
        """Announce that a definition was put or deleted."""
        for listener in self.on_definition:
            listener(name)
