"""Runs the process in onboard.yaml once: two people do their tasks, and a worker creates the account.

fencepost serve &
fencepost apply examples/people/onboard.yaml
python examples/people/onboard.py
"""

from __future__ import annotations

import json
import os
import uuid
from typing import Any
from urllib.request import Request, urlopen

URL = os.environ.get("FENCEPOST_URL", "http://127.0.0.1:8080")


def call(method: str, **params: Any) -> Any:
    """Call a method and return its result."""
    body = json.dumps({"method": method, "params": params}).encode()
    with urlopen(Request(f"{URL}/rpc", body, {"content-type": "application/json"})) as answer:
        return json.load(answer)["result"]


def people(method: str, **params: Any) -> Any:
    """Call a method of the people vocabulary."""
    return call(f"awf.people/{method}", **params)


def work() -> None:
    """Create the account, as a worker: poll for the task, do it, report the result."""
    (task,) = call("awf.task/poll", taskDefinitions=["hr/onboard/ACCOUNT"], start=True)["resources"]
    people("set-task-progress", id=task["id"], progressMessage="asking the directory")
    result = {"account": task["params"]["input"]["name"]}
    call("awf.task/success", id=task["id"], execId=task["execId"], result=result)


def main() -> None:
    """Onboard ada."""
    for code, user in (("HR", "ann"), ("IT", "bob")):
        people("put-team", code=code, description=code)
        people("save-team-memberships", user=user, teams=[code])

    code = f"ada-{uuid.uuid4()}"
    created = people("create-task-list", process="hr/onboard", code=code, input={"name": "ada"})
    papers = created["tasks"][0]["id"]
    work()

    people("claim", id=papers, user="ann")
    event = people("change-task-status-if-required", id=papers, user="ann", status="IN")["event"]
    people("confirm-status-event", id=papers, user="ann", event=event["id"])
    people("set-task-completed", id=papers, user="ann", result={"papers": "complete"})

    badge = people("add-task", taskList=code, processStep="BADGE", description="with a photo")["resource"]["id"]
    people("claim", id=badge, user="bob")
    people("set-task-completed", id=badge, user="bob")

    for task in people("find-all-tasks-by-task-list", taskList=code)["resources"]:
        print(task["lineNumber"], task["processStep"], task["biTaskStatus"], task["biAssignedToUser"] or "-")
    print(people("close-task-list", code=code)["resource"]["outcome"])


if __name__ == "__main__":
    main()
