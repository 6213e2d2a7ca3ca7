"""Announcements of ends: they wake the callers that wait for tasks and workflows, on this server and on others.

A server says of which definitions it awaits tasks. The others remember it for a while, and announce only the ends of
those, so that without waiting callers nothing is sent. An announcement that is lost, or that comes before the other
server knows, only costs time: the loop `end-finder` finds the end.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from fencepost.engine.waits import Waits

# Other servers remember what this one awaits; it is repeated while callers wait.
_REMEMBERED_SECONDS = 90.0
_REPEAT_SECONDS = 30.0
# Definitions that are remembered. Ends of others are found within a second.
_MOST = 1000
# An end on another server may have come before that server knew; look once, soon.
_SOON_SECONDS = 0.2


class Ends:
    """Announces ends to the waits of this server, and what is awaited to the other servers.

    `look` makes the loop look within some seconds; `tell_awaited` and `tell_ended` announce to other servers.
    """

    def __init__(
        self,
        waits: Sequence[Waits[Any]],
        *,
        tell_awaited: Callable[[str], None],
        tell_ended: Callable[[str, Sequence[str]], None],
    ) -> None:
        self._waits = waits
        self.look: Callable[[float], None] = lambda _: None
        self._tell_awaited = tell_awaited
        self._tell_ended = tell_ended
        # When other servers were told of a definition, and until when another one awaits it.
        self._told: dict[str, float] = {}
        self._awaited_elsewhere: dict[str, float] = {}
        for one in waits:
            one.on_definition = self._begun
            one.on_first = lambda: self.look(0.0)

    def is_awaited(self, definition: str) -> bool:
        """Return whether a caller may wait for a task or workflow of a definition, here or on another server."""
        return definition in self._awaited_elsewhere or any(one.waiting for one in self._waits)

    def ended(self, definition: str, ids: Sequence[str]) -> None:
        """Wake the callers that wait for these; without ids, look for the ends of all that are awaited."""
        self._apply([definition] if not ids else [], ids)
        until = self._awaited_elsewhere.get(definition)
        if until is None:
            return
        if until > asyncio.get_running_loop().time():
            self._tell_ended(definition, ids)
        else:
            del self._awaited_elsewhere[definition]

    def heard(self, awaited: Iterable[str], ended: Iterable[str], ended_of: Iterable[str]) -> None:
        """Take note of what another server awaits, and of what ended there: by id, or any of a definition."""
        until = asyncio.get_running_loop().time() + _REMEMBERED_SECONDS
        for definition in awaited:
            if definition in self._awaited_elsewhere or len(self._awaited_elsewhere) < _MOST:
                self._awaited_elsewhere[definition] = until
        self._apply(ended_of, ended)

    def repeat(self) -> None:
        """Tell the other servers again what is awaited here, when it is time, and forget the rest."""
        before = asyncio.get_running_loop().time() - _REPEAT_SECONDS
        awaited = {definition for one in self._waits for definition in one.definitions}
        for definition in [name for name, at in self._told.items() if at < before]:
            del self._told[definition]
            if definition in awaited:
                self._tell(definition)

    def _apply(self, definitions: Iterable[str], ids: Iterable[str]) -> None:
        known = list(ids)
        for one in self._waits:
            one.ended(known)
            if any(definition in one.definitions for definition in definitions):
                self.look(0.0)

    def _begun(self, definition: str) -> None:
        if definition not in self._told:
            self._tell(definition)
            self.look(_SOON_SECONDS)

    def _tell(self, definition: str) -> None:
        self._told[definition] = asyncio.get_running_loop().time()
        self._tell_awaited(definition)
