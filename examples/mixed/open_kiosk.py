"""Opens a kiosk, and plays all its parties: two services, a manager, a machine and a robot.

fencepost serve &
fencepost apply examples/mixed/kiosk.yaml
python examples/mixed/open_kiosk.py
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from typing import Any
from urllib.request import Request, urlopen

URL = os.environ.get("FENCEPOST_URL", "http://127.0.0.1:8080")


def post(path: str, body: Any) -> Any:
    """Post JSON and return the answer."""
    with urlopen(Request(URL + path, json.dumps(body).encode(), {"content-type": "application/json"})) as answer:
        return json.load(answer)


def call(method: str, **params: Any) -> Any:
    """Call a method and return its result."""
    return post("/rpc", {"method": method, "params": params})["result"]


def found(look: Callable[[], Any]) -> Any:
    """Poll `look` until it returns something, and return that."""
    for _ in range(600):
        if some := look():
            return some
        time.sleep(0.05)
    raise SystemExit("no result within half a minute")


def serve(definition: str, **result: Any) -> None:
    """Answer one call of a service."""
    tasks = call("awf.task/long-poll", taskDefinitions=[definition], start=True, timeout=30_000)["resources"]
    call("awf.task/success", id=tasks[0]["id"], execId=tasks[0]["execId"], result=result)
    print(f"{definition} answered")


def activity_of(flow: str, definition: str) -> str:
    """Return the id of the activity that the flow has started of a definition."""
    look = {"id": flow, "include-activities?": True}
    (one, *_) = found(
        lambda: [one for one in call("awf.workflow/status", **look)["activities"] if one["definition"] == definition]
    )
    return str(one["id"])


def approve(flow: str) -> None:
    """Approve, as the manager."""
    asked = {"taskList": activity_of(flow, "shop/approval")}
    (task,) = found(lambda: call("awf.people/find-all-tasks-by-task-list", **asked)["resources"])
    call("awf.people/claim", id=task["id"], user="mira")
    call("awf.people/set-task-completed", id=task["id"], user="mira")
    print("mira approved")


def install(flow: str) -> None:
    """Do the action of the machine."""
    me, till = {"worker": "52:54:00:12:34:56"}, activity_of(flow, "shop/till")
    (workflow,) = found(lambda: [one for one in call("awf.machine/contexts", **me)["resources"] if one["id"] == till])
    action = {"id": workflow["id"], "task": workflow["context"]["task"], "action": workflow["context"]["action"]}
    for state in ("STATE_RUNNING", "STATE_SUCCESS"):
        call("awf.machine/report", **action, state=state)
    print(f"the machine did {action['action']}")


def drive(flow: str, action: str) -> None:
    """Do the next task of the robot, over HTTP as robots do."""
    run = {"id": activity_of(flow, "shop/delivery")}
    tasks = found(lambda: [task for task in call("awf.device/run-status", **run)["resource"]["tasks"] if is_new(task)])
    assert tasks[0]["actionName"] == action
    for verb in ("start", "complete"):
        post(f"/tasks/{tasks[0]['id']}/{verb}", {})
    print(f"the robot did {action}")


def is_new(task: Any) -> bool:
    """Return whether the robot has not started a task."""
    return bool(task["status"] == "PENDING")


def main() -> None:
    """Open the kiosk."""
    call("awf.people/put-team", code="CHIEFS", description="approves rents")
    call("awf.people/save-team-memberships", user="mira", teams=["CHIEFS"])
    kiosk = {"templateId": "shop/open-kiosk", "context": {"place": "platform 9"}}
    flow = call("awf.taskflow.template/execute", **kiosk)["data"]["taskflowId"]
    serve("estate/reserve", place="platform 9", rent=120)
    approve(flow)
    drive(flow, "LOAD")
    install(flow)
    serve("channel/printers", printed=True)
    drive(flow, "DRIVE")

    end = found(lambda: (one := call("awf.taskflow/details", taskflowId=flow)["data"])["status"] != "RUNNING" and one)
    for stage in end["stages"].values():
        for task in stage["tasks"].values():
            print(stage["name"], task["name"], task["status"])
    print(end["status"])


if __name__ == "__main__":
    main()
