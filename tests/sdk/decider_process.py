"""A decider as a process of its own, for tests that kill it while it decides about `demo/order`."""

from __future__ import annotations

import sys
import threading
from datetime import timedelta
from pathlib import Path
from typing import Any

from fencepost_sdk import Event, Facts, Worker, actions

name, said, hold = sys.argv[1:]
worker = Worker(name=name)


@worker.workflow("demo/order", in_progress_timeout=timedelta(seconds=1), retry_delay=timedelta(0))
def decide(workflow: Facts[Any], event: Event) -> Any:
    Path(said).touch()
    if hold == "hold":
        threading.Event().wait()
    if event.kind == "init":
        return actions.wait("pause", timedelta(milliseconds=10))
    return actions.complete({"by": name})


if __name__ == "__main__":
    worker.run()
