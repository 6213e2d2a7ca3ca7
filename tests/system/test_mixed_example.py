"""The example in examples/mixed runs to its end: services, people, machines and a robot in one flow."""

from __future__ import annotations

import os
import subprocess
import sys

from click.testing import CliRunner

from fencepost.cli.apply import apply
from tests.fixtures.machines import template_of
from tests.fixtures.servers import Server
from tests.house.sources import ROOT

EXAMPLE = ROOT / "examples" / "mixed"


def test_the_example_opens_a_kiosk(server: Server) -> None:
    applied = CliRunner().invoke(apply, [str(EXAMPLE / "kiosk.yaml"), "--url", server.url])
    assert applied.exit_code == 0, applied.output
    among_others(server)
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


def among_others(server: Server) -> None:
    """Create other work for people and for the machine, as readers of the other pages of the docs have."""
    server.rpc("awf.people/put-team", {"code": "BOARD", "description": "who is asked first"})
    step = {"code": "ASK", "createAtProcessStart": True, "assignToTeam": "BOARD"}
    process = {"kind": "process", "name": "hr/hire", "department": "HR", "crossDepartment": False, "steps": [step]}
    server.rpc("awf.definition/put", process)
    server.rpc("awf.people/create-task-list", {"process": "hr/hire"})
    template = template_of(("52:54:00:12:34:56", ["wipe"]))
    server.rpc("awf.definition/put", {"kind": "machine-template", "name": "lab/ubuntu", "template": template})
    server.rpc("awf.machine/create", {"definition": "lab/ubuntu"})
