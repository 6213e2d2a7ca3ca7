"""A worker and a client: `python quickstart.py worker` in one terminal, `python quickstart.py client` in another."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import dataclass
from typing import Any

from fencepost_sdk import Client, Context, Worker

worker = Worker()


@dataclass
class Order:
    """A dish and its cooking time in minutes."""

    dish: str
    minutes: int = 3


@worker.task("kitchen/cook", declare=True)
async def cook(params: Order, ctx: Context) -> dict[str, Any]:
    """Cook a dish and report the progress."""
    for minute in range(params.minutes):
        ctx.progress(minute, params.minutes, "minutes")
        await asyncio.sleep(0.1)
    return {"dish": params.dish, "attempt": ctx.task.retry_count}


def order() -> None:
    """Order three dishes and wait for them."""
    with Client() as client:
        tasks = [client.create("kitchen/cook", Order(dish)) for dish in ("soup", "pancakes", "tea")]
        for task in tasks:
            print(client.result(task, timeout=60))  # noqa: T201 - the output of the example


if __name__ == "__main__":
    worker.run() if sys.argv[1:] == ["worker"] else order()
