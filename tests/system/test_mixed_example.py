"""The example in examples/mixed does what it shows: services, people, machines and a robot in one flow."""

from __future__ import annotations

import os
import subprocess
import sys

from click.testing import CliRunner

from fencepost.cli.apply import apply
from tests.fixtures.servers import Server
from tests.house.sources import ROOT

EXAMPLE = ROOT / "examples" / "mixed"


def test_the_example_opens_a_kiosk(server: Server) -> None:
    applied = CliRunner().invoke(apply, [str(EXAMPLE / "kiosk.yaml"), "--url", server.url])
    assert applied.exit_code == 0, applied.output
    environment = {**os.environ, "FENCEPOST_URL": server.url}
    command = [sys.executable, str(EXAMPLE / "open_kiosk.py")]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=100, check=False)
    assert ran.stderr == ""
    assert ran.stdout.splitlines()[-5:] == [
        "reserve place SUCCESS",
        "approve chief SUCCESS",
        "open machine SUCCESS",
        "open goods SUCCESS",
        "COMPLETED",
    ]
    flow = server.rpc("awf.taskflow/list")["data"][-1]
    activities = server.rpc("awf.workflow/status", {"id": flow["taskflowId"], "include-activities?": True})
    assert activities["resource"]["outcome"] == "succeeded"
