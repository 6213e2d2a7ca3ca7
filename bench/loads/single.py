"""Single calls: poll, start and success, one per request, from wrk over 64 connections."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

CONNECTIONS = 64
DEFINITION = "bench/single"


def missing() -> str | None:
    """Return the reason why it cannot run here, or None."""
    return None if shutil.which("wrk") else "wrk is not installed (apt-get install wrk)"


def single_calls(url: str, seconds: int) -> dict[str, Any]:
    """Make calls for `seconds`; return the number of answers by kind, and `rate`, the calls per second."""
    script = Path(__file__).with_name("single.lua")
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "-s", str(script), f"{url}/rpc"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 30, check=True)
    counted: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    calls = counted["polls"] + counted["started"] + counted["succeeded"]
    return {**counted, "rate": calls / counted["seconds"]}
