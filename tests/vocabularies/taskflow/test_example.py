"""The example in examples/taskflow, run as its page says."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.fixtures.servers import Server
from tests.house.sources import ROOT

FOLDER = ROOT / "examples" / "taskflow"


@pytest.mark.shows("taskflow/example")
def test_the_example_program_runs(server: Server) -> None:
    environment = {**os.environ, "URL": server.url, "FENCEPOST_URL": server.url}
    worker = subprocess.Popen([sys.executable, FOLDER / "services.py"], env=environment)
    try:
        done = subprocess.run(
            ["bash", FOLDER / "run.sh"], env=environment, capture_output=True, text=True, timeout=60, check=True
        )
    finally:
        worker.terminate()
        worker.wait(20)
    lines = done.stdout.splitlines()
    assert lines[-1] == '"status":"COMPLETED"'
    assert lines.count("TASK SUCCESS") == 3
    assert lines.count("STAGE COMPLETED") == 2
    assert "TASKFLOW COMPLETED" in lines
