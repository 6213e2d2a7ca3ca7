"""A server process that is killed by its Taskflow decider, as by a decider that takes all memory.

usage: crashing_decider_server.py CONNINFO FILE   Each decision first adds a line to the file.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from fencepost.domain.actions import AnyAction
from fencepost.domain.decider import Event, Facts
from fencepost.domain.definition import Decided
from fencepost.settings import Settings
from fencepost.vocabularies.taskflow.document import FLOW
from tests.fixtures.servers import running_server
from tests.fixtures.taskflows import flow

conninfo, file = sys.argv[1:]


def decide(facts: Facts, event: Event) -> Sequence[AnyAction]:
    with Path(file).open("a") as lines:
        print(facts.workflow.id, file=lines)
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("it is dead")


if __name__ == "__main__":
    # Short times, in milliseconds, because the test waits for six attempts.
    Decided.in_progress_timeout, Decided.retry_delay = 300, 10
    with running_server(conninfo, settings=Settings(lease_grace_seconds=0.1), deciders={"taskflow": decide}) as server:
        with suppress(Exception):
            content = {"id": "deadly", "definition": FLOW, "params": flow(["a"])}
            server.rpc("awf.workflow/create-and-execute", content)
        threading.Event().wait()
