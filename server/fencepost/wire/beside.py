"""Runs work on long texts in a thread, so that the event loop stays free for other requests.

A megabyte of YAML, or of JSON that needs the exact walk, takes a second of processor time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")

# Bytes that take less time on the loop than a switch to a thread.
SHORT_JSON = 64 << 10
SHORT_YAML = 16 << 10
# The interpreter runs one thread at a time: more threads would only delay the loop and hold more texts in memory.
_THREADS = 2

_threads = ThreadPoolExecutor(_THREADS, "texts")


async def beside(size: int, work: Callable[[], T], *, short: int = SHORT_JSON) -> T:
    """Return the result of `work` for a text of `size` bytes; it runs in a thread if `size` is above `short`."""
    if size <= short:
        return work()
    return await asyncio.get_running_loop().run_in_executor(_threads, work)
