"""The example in examples/people completes its task list."""

from __future__ import annotations

import os
import subprocess
import sys

from click.testing import CliRunner

from fencepost.cli.apply import apply
from tests.fixtures.servers import Server
from tests.house.sources import ROOT

EXAMPLE = ROOT / "examples" / "people"


def test_the_example_completes_its_task_list(server: Server) -> None:
    applied = CliRunner().invoke(apply, [str(EXAMPLE / "onboard.yaml"), "--url", server.url])
    assert applied.output == "hr/onboard version 1\n"
    command = [sys.executable, str(EXAMPLE / "onboard.py")]
    environment = {**os.environ, "FENCEPOST_URL": server.url}
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert ran.stderr == ""
    assert ran.stdout.splitlines() == ["1 ASK CO ann", "2 ACCOUNT CO -", "3 BADGE CO bob", "succeeded"]
