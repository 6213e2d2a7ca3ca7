"""Reading and writing of long texts beside the event loop, so that other requests get their turn meanwhile.

A megabyte of YAML, or of JSON that needs the exact walk, takes a second of processor time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")

# Bytes that take less time on the loop than it takes to find a thread.
SHORT_JSON = 64 << 10
SHORT_YAML = 16 << 10
# The interpreter runs one thread at a time: more of them would only keep the loop waiting for its turn, and hold more
# parsed texts in memory.
_THREADS = 2

_threads = ThreadPoolExecutor(_THREADS, "texts")


async def beside(size: int, work: Callable[[], T], *, short: int = SHORT_JSON) -> T:
    """Return what `work` returns for a text of `size` bytes; it runs in a thread if the text is longer than `short`."""
    if size <= short:
        return work()
    return await asyncio.get_running_loop().run_in_executor(_threads, work)
