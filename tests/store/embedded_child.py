"""A process that owns an embedded Postgres, for tests that kill it: python embedded_child.py DATA_DIR [HOW].

Prints one JSON line when the server answers, and then waits to be killed. HOW is one of

    ignore-ctrl-c       do not end on SIGINT
    never-reaped        run below a parent that adopts orphans and reaps none, as the first process of a container may
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
from pathlib import Path

from fencepost.store.embedded import EmbeddedPostgres

PR_SET_CHILD_SUBREAPER = 36

if "ignore-ctrl-c" in sys.argv:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
if "never-reaped" in sys.argv:
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    if os.fork() != 0:
        while True:
            signal.pause()
server = EmbeddedPostgres(Path(sys.argv[1]))
server.start()
print(json.dumps({"owner": os.getpid(), "pid": server.pid, "conninfo": server.conninfo}), flush=True)
while True:
    signal.pause()
