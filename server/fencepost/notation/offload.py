"""Offloads the parsing and writing of long texts to threads, so that the event loop serves other requests.

A megabyte of YAML, or of JSON that needs the exact walk, takes a second of processor time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")

# Bytes that take less time on the loop than the hand-over to a thread.
SHORT_JSON = 64 << 10
SHORT_YAML = 16 << 10
# The interpreter runs one thread at a time: more threads would delay the loop, and keep more parsed texts in memory.
_THREADS = 2

_threads = ThreadPoolExecutor(_THREADS, "texts")


async def offload(size: int, work: Callable[[], T], *, short: int = SHORT_JSON) -> T:
    """Run `work` on a text of `size` bytes and return its result; texts longer than `short` run in a thread."""
    if size <= short:
        return work()
    return await asyncio.get_running_loop().run_in_executor(_threads, work)
