"""The benchmark runs: a small round prints its tables and writes JSON, with every task done exactly once."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.house.sources import ROOT

pytest.importorskip("fencepost_sdk")

RACERS = ("sql:100", "fencepost", "fencepost:workflows", "fencepost:single", "starlette")
TINY = {
    "single_seconds": 1,
    "latencies": 5,
    "idle_polls": 20,
    "idle_seconds": 0.1,
    "flows": 10,
    "in_flight": 50,
}


def test_a_small_bench_round_prints_tables_and_writes_json(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    figures = "create,drain,latency,in-flight" + (",single" if shutil.which("wrk") else "")
    options = ["--rounds", "1", "--count", "200", "--figures", figures, "--only", ",".join(RACERS)]
    done = subprocess.run(
        [sys.executable, "-P", "-m", "bench", *options, "--plan", json.dumps(TINY), "--json", str(path)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    written = json.loads(path.read_text())
    assert written["settings"]["fsync"] == written["settings"]["synchronous_commit"] == "on"
    assert set(written["samples"]["drain"]) == {"sql:100", "fencepost", "fencepost:workflows"}
    # A contestant that failed or did not do each task exactly once has a second note.
    assert {name: len(notes) for name, notes in written["notes"].items()} == dict.fromkeys(RACERS, 1)
    for title in ("History kept, one handler call a task", "Drain", "Create to start", "Fencepost against its bars"):
        assert title in done.stdout
    assert set(written["samples"]["in-flight"]) == {"fencepost:single"}
    tables = done.stdout[done.stdout.index("History kept") : done.stdout.index("sql:100: ")]
    assert max(map(len, tables.splitlines())) <= 110


def test_the_lock_files_of_the_bench_name_no_registry() -> None:
    for path in (
        *("bench/package-lock.json", "bench/contestants/river/go.sum"),
        *("constraints/bench.txt", "constraints/oban.txt"),
    ):
        text = (ROOT / path).read_text()
        assert "resolved" not in text
        assert "registry" not in text
