"""Both sides in one file: `python quickstart.py worker` in one terminal, `python quickstart.py client` in another."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import dataclass
from typing import Any

from fencepost_sdk import Client, Context, Worker

worker = Worker()


@dataclass
class Order:
    """What to cook, and how long it takes."""

    dish: str
    minutes: int = 3


@worker.task("kitchen/cook", declare=True)
async def cook(params: Order, ctx: Context) -> dict[str, Any]:
    """Cook, and tell how far it is."""
    for minute in range(params.minutes):
        ctx.progress(minute, params.minutes, "minutes")
        await asyncio.sleep(0.1)
    return {"dish": params.dish, "attempt": ctx.task.retry_count}


def order() -> None:
    """Order a few dishes and wait for them."""
    with Client() as client:
        tasks = [client.create("kitchen/cook", Order(dish)) for dish in ("soup", "pancakes", "tea")]
        for task in tasks:
            print(client.result(task, timeout=60))  # noqa: T201 - an example talks to its reader


if __name__ == "__main__":
    worker.run() if sys.argv[1:] == ["worker"] else order()
