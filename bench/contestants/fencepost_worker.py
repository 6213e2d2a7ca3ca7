"""A worker process of the Fencepost contestant: the SDK's `Worker` with a handler that counts.

It is started once and works for each JSON command {"work": url, "settings": {…}, "batch": false} until a line "stop".
With "batch" a handler call is one for up to `BATCH_SIZE` tasks. Meanwhile it
writes to shared memory the number of started handlers and the times of the first and the last one
(`time.perf_counter_ns`, one clock for all processes on Linux).
"""

from __future__ import annotations

import asyncio
import json
import mmap
import sys
import time
from pathlib import Path
from typing import Any

from fencepost_sdk import Event, Facts, Worker
from fencepost_sdk.actions import Action, complete, schedule_task

DEFINITION = "bench/no-op"
LIMITED = "bench/limited"
SINGLE = "bench/single"
FLOW = "bench/flow"
# Sequential activities of a workflow; there is a decision after each, and one before the first.
STEPS = 10
# Eight-byte numbers per worker: count, first, last.
CELLS = 3
# The most tasks of a call of the batch handler.
BATCH_SIZE = 500


def main() -> None:
    """Work for each command until stdin ends."""
    path, index = Path(sys.argv[1]), int(sys.argv[2])
    with (
        path.open("r+b") as file,
        mmap.mmap(file.fileno(), 0) as shared,
        memoryview(shared).cast("q") as cells,
        cells[index * CELLS : (index + 1) * CELLS] as mine,
    ):
        asyncio.run(_serve(mine))


async def _serve(cells: memoryview[int]) -> None:
    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    while line := await lines.readline():
        _say(await _work(json.loads(line), lines, cells))


async def _work(order: dict[str, Any], lines: asyncio.StreamReader, cells: memoryview[int]) -> dict[str, Any]:
    seen: list[Any] = []
    calls = 0
    cells[0] = cells[1] = cells[2] = 0
    worker = Worker(order["work"], **order["settings"])

    def count(numbers: list[Any]) -> None:
        nonlocal calls
        calls += 1
        now = time.perf_counter_ns()
        if not seen:
            cells[1] = now
        seen.extend(numbers)
        cells[2] = now
        cells[0] = len(seen)

    async def handle(params: dict[str, Any]) -> None:
        count([params["n"]])

    async def handle_many(params: list[dict[str, Any]]) -> None:
        count([one["n"] for one in params])

    if order["batch"]:
        worker.batch(DEFINITION, size=BATCH_SIZE)(handle_many)
    else:
        worker.task(DEFINITION)(handle)
    worker.task(LIMITED)(handle)

    @worker.workflow(FLOW, activities=False)
    async def decide(workflow: Facts[Any], event: Event) -> Action:
        """Start the step after the label of the last one."""
        number = 0 if event.label is None else int(event.label) + 1
        if number == STEPS:
            return complete()
        return schedule_task(DEFINITION, str(number), {"n": f"{workflow.id}/{number}"})

    serving = asyncio.create_task(worker.serve())
    _say({"working": True})
    stopping = asyncio.create_task(lines.readline())
    await asyncio.wait((serving, stopping), return_when=asyncio.FIRST_COMPLETED)
    worker.stop()
    # It returns when the last finish is acknowledged and therefore committed.
    await serving
    return {"ended": time.perf_counter_ns(), "calls": calls, "seen": seen}


def _say(what: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
