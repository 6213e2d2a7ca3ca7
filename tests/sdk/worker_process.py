"""A worker as a process of its own, for tests that kill it. Handles `demo/work` as its arguments say."""

from __future__ import annotations

import asyncio
import sys
import time

from fencepost_sdk import Context, Worker

worker = Worker(concurrency=2, name=sys.argv[2], prefetch=int(sys.argv[3]))


async def work(params: dict[str, float], ctx: Context) -> dict[str, str]:
    ctx.heartbeat("begun")
    await asyncio.sleep(params["seconds"])
    return {"by": worker.name}


def work_in_thread(params: dict[str, float], ctx: Context) -> dict[str, str]:
    ctx.heartbeat("begun")
    time.sleep(params["seconds"])
    return {"by": worker.name}


worker.task("demo/work")(work if sys.argv[1] == "async" else work_in_thread)

if __name__ == "__main__":
    worker.run()
