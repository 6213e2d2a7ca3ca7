"""The services of the tasks in `group.json`, as a worker: `group-core` and `appliance-core`."""

from typing import Any

from fencepost_sdk import Worker

worker = Worker()  # FENCEPOST_URL has the address of the server


@worker.task("group-core/createGroup")
def create_group(call: dict[str, Any]) -> dict[str, Any]:
    """Create a group."""
    return {"success": True, "data": {"groupId": call["params"]["groupId"]}}


@worker.task("appliance-core/AddApplianceToGroup")
def add_appliance(call: dict[str, Any]) -> dict[str, Any]:
    """Add an appliance to the group of the previous stage."""
    (created,) = call["meta"]["taskflowExecutionContext"]["previousStageRes"]
    group = created["response"]["data"]["groupId"]
    return {"success": True, "data": {"groupId": group, "applianceId": call["params"]["applianceId"]}}


if __name__ == "__main__":
    worker.run()
