"""The CPU time of a contestant includes all its processes and threads, also those that have ended."""

import os
import subprocess
import sys

from bench.meter import cpu_seconds

# Two threads that use CPU and end, in a child that says how much it used.
BUSY = """
import threading, time
def work():
    until = time.thread_time() + 0.1
    while time.thread_time() < until: pass
threads = [threading.Thread(target=work) for _ in range(2)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(time.process_time(), flush=True)
input()
"""


def test_cpu_time_includes_ended_threads_and_ended_children() -> None:
    before = cpu_seconds([os.getpid()])
    with subprocess.Popen([sys.executable, "-c", BUSY], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        used = float(child.stdout.readline())
        assert 0.2 <= used <= cpu_seconds([child.pid])
        assert cpu_seconds([os.getpid()]) - before >= used
        child.communicate(b"\n")
    # The parent counts an ended child in ticks of 10 ms, of user and system time.
    assert cpu_seconds([os.getpid()]) - before >= used - 0.02
