"""A device in thirty lines: listens to its channel, does its tasks, and loses the track once.

    fencepost apply examples/devices/patrol.yaml
    python examples/devices/device.py http://127.0.0.1:8080 r2 &
    curl -X POST http://127.0.0.1:8080/workflows/demo/patrol/runs

It needs only Python. With a number as third argument it exits after so many completed tasks.
"""

import json
import sys
import urllib.request

BASE, DEVICE = sys.argv[1], sys.argv[2]
left = int(sys.argv[3]) if len(sys.argv) > 3 else -1
seen: set[str] = set()
fell = False


def report(task: str, verb: str, **body: object) -> None:
    """Report a change of a task to the server."""
    request = urllib.request.Request(
        f"{BASE}/api/tasks/{task}/{verb}", json.dumps(body).encode(), {"content-type": "application/json"}
    )
    with urllib.request.urlopen(request):
        print(verb, task, flush=True)


with urllib.request.urlopen(f"{BASE}/api/devices/{DEVICE}/events?as=device") as channel:
    for line in channel:
        if not line.startswith(b"data: "):
            continue
        message = json.loads(line[len("data: ") :])
        # After a reconnect the channel repeats earlier events.
        if message["type"] != "TASK_REGISTERED" or message["task_id"] in seen:
            continue
        seen.add(message["task_id"])
        report(message["task_id"], "start")
        if message["action_name"] == "LINE_TRACKING" and not fell:
            fell = True
            report(message["task_id"], "abort", reason="off_track", failPoint={"corner": 3})
            continue
        if "failPoint" in message["payload"]:
            print("resuming from", message["payload"]["failPoint"], flush=True)
        report(message["task_id"], "complete", result={"done": message["action_name"]})
        left -= 1
        if left == 0:
            break
