"""The example in examples/devices: the device runs in its own process."""

from __future__ import annotations

import subprocess
import sys

import orjson

from fencepost.notation import yaml
from tests.fixtures.devices import Fleet
from tests.fixtures.servers import Server
from tests.fixtures.waiting import until
from tests.house.sources import ROOT

EXAMPLE = ROOT / "examples" / "devices"


def test_the_example_device_fails_and_resumes(server: Server) -> None:
    document = orjson.loads(yaml.to_json((EXAMPLE / "patrol.yaml").read_bytes()))
    fleet = Fleet(server, **{name: value for name, value in document.items() if name not in ("kind", "name", "device")})
    command = [sys.executable, str(EXAMPLE / "device.py"), server.url, "r2", "4"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as device:
        run = fleet.begin()
        until(lambda: fleet.run(run["id"])["status"] == "COMPLETED", timeout=20)
        said, _ = device.communicate(timeout=20)
    assert device.returncode == 0
    assert "resuming from {'corner': 3}" in said
    assert fleet.run(run["id"])["attempt"] == 2
