"""A start on a silent database is refused in one line; a running server needs none of its files again."""

from __future__ import annotations

import http.client
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

import fencepost
from tests.fixtures.processes import Client, serving
from tests.fixtures.silent_proxy import silent_proxy
from tests.house.sources import ROOT

SECONDS = 10.0
NOISE = 5.0


@pytest.mark.parametrize("command", [["serve", "--port", "0"], ["migrate"], ["check"]])
def test_a_command_on_a_silent_database_is_refused_in_one_line(command: list[str], database: str) -> None:
    with silent_proxy(database) as proxy:
        proxy.silence(new_ones=True)
        began = time.monotonic()
        words = [sys.executable, "-m", "fencepost", *command, "--database-url", proxy.conninfo]
        done = subprocess.run(words, capture_output=True, text=True, timeout=60)
        assert time.monotonic() - began < SECONDS + NOISE
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.strip().splitlines()) == 1
    assert done.stderr.startswith("fencepost: cannot connect to the database: ")


def test_a_server_keeps_serving_when_its_installed_files_are_deleted(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = tmp_path / "installed"
    shutil.copytree(Path(fencepost.__file__).parent, installed / "server" / "fencepost")
    for name in ("sql", "openapi"):
        shutil.copytree(ROOT / name, installed / name)
    monkeypatch.setenv("PYTHONPATH", str(installed / "server"))
    with serving(tmp_path, "--database-url", database) as process:
        shutil.rmtree(installed / "sql")
        shutil.rmtree(installed / "openapi")
        with Client(process.port) as client:
            client.call("awf.definition/put", {"kind": "task", "name": "demo/resize"})
            for noun in ("task", "workflow", "schedule", "trigger", "definition"):
                client.call(f"awf.{noun}/list", {})
        connection = http.client.HTTPConnection("127.0.0.1", process.port, timeout=30)
        connection.request("GET", "/openapi.yaml")
        response = connection.getresponse()
        assert (response.status, response.read(8)) == (200, b"openapi:")
        connection.close()
