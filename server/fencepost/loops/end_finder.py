"""The end finder: one query a second that finds the ends of awaited tasks that no server announced.

These are the ends of servers that died before they announced them, ends whose announcement was lost, and those that a
deadline or a workflow brought about. Without callers that wait, it sleeps.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from typing import Any

from fencepost.engine.ends import Ends
from fencepost.engine.waits import Waits

_INTERVAL = 1.0
# However often it is nudged: the shortest pause, and the share of its time that it may spend in the query.
_SHORTEST = 0.025
_SHARE = 0.1


class EndFinder:
    """Looks for the ends of what the callers of this server wait for."""

    def __init__(self, waits: Sequence[Waits[Any]], ends: Ends) -> None:
        self._waits = waits
        self._ends = ends
        self._not_before = 0.0

    async def run_once(self) -> float:
        """Look once for all callers; return the seconds until the next look (infinity when no one waits)."""
        clock = asyncio.get_running_loop().time
        begun = clock()
        if begun < self._not_before:
            return self._not_before - begun
        for one in self._waits:
            await one.look()
        self._ends.repeat()
        self._not_before = clock() + max(_SHORTEST, (clock() - begun) / _SHARE)
        return _INTERVAL if any(one.waiting for one in self._waits) else math.inf
