"""A worker in a process of its own, which behaves like either generation of Tinkerbell's workers.

python -m tests.vocabularies.machines.machine_worker PORT WORKER ERA FOLDER

Era 2021 exits on any error, tries a report three times, and keeps workflow data in files. Era 2023 retries every call
forever. Running an action adds its name to FOLDER/ran. The action waits while FOLDER/hold-ACTION exists, and fails if
FOLDER/fail-ACTION exists. FOLDER/stop ends the worker.
"""

from __future__ import annotations

import hashlib
import json
import sys
import time
from pathlib import Path
from typing import Any

import grpc

from fencepost.vocabularies.machines.grpc.proto import (
    workflow_2021_pb2,
    workflow_2021_pb2_grpc,
    workflow_pb2,
    workflow_pb2_grpc,
)

PENDING, RUNNING, FAILED, TIMEOUT, SUCCESS = range(5)
_PAUSE = 0.05
_TRIES = 3


class Worker:
    """One worker; it makes its calls in the order of the published workers."""

    def __init__(self, port: str, worker: str, era: str, folder: Path) -> None:
        self.is_old = era == "2021"
        self.names: Any = workflow_2021_pb2 if self.is_old else workflow_pb2
        stubs: Any = workflow_2021_pb2_grpc if self.is_old else workflow_pb2_grpc
        options = [("grpc.max_reconnect_backoff_ms", 200), ("grpc.initial_reconnect_backoff_ms", 50)]
        self.stub = stubs.WorkflowServiceStub(grpc.insecure_channel(f"127.0.0.1:{port}", options=options))
        self.worker = worker
        self.folder = folder

    def run(self) -> None:
        while not (self.folder / "stop").exists():
            try:
                request = self.names.WorkflowContextRequest(worker_id=self.worker)
                for context in self.stub.GetWorkflowContexts(request):
                    self.work(context)
            except grpc.RpcError:
                if self.is_old:
                    sys.exit(1)
            time.sleep(_PAUSE)

    def work(self, context: Any) -> None:
        request = self.names.WorkflowActionsRequest(workflow_id=context.workflow_id)
        actions = self.stub.GetWorkflowActions(request).action_list
        index = self.first_index(context, actions)
        while index is not None and index < len(actions) and actions[index].worker_id == self.worker:
            # The state as fetched: a worker that resumes an action reports RUNNING for no action of that run.
            if context.current_action_state != RUNNING:
                self.report(context, actions[index], RUNNING, "Started execution")
            self.fetch_data(context)
            state = self.execute(actions[index])
            message = "finished execution successfully" if state == SUCCESS else ""
            self.report(context, actions[index], state, message)
            if state != SUCCESS:
                if self.is_old:
                    sys.exit(0)
                return
            self.keep_data(context, actions[index])
            index += 1

    def first_index(self, context: Any, actions: Any) -> int | None:
        if not context.current_action:
            return 0
        match context.current_action_state:
            case 4:
                return int(context.current_action_index) + 1
            case 2 | 3:
                return None
        return int(context.current_action_index)

    def execute(self, action: Any) -> int:
        self.note("began", action.name)
        while (self.folder / f"hold-{action.name}").exists():
            time.sleep(0.01)
        self.note("ran", action.name)
        return FAILED if (self.folder / f"fail-{action.name}").exists() else SUCCESS

    def report(self, context: Any, action: Any, state: int, message: str) -> None:
        status = self.names.WorkflowActionStatus(
            workflow_id=context.workflow_id,
            task_name=action.task_name,
            action_name=action.name,
            action_status=state,
            message=message,
            worker_id=action.worker_id,
        )
        tries = 0
        while True:
            try:
                self.stub.ReportActionStatus(status)
            except grpc.RpcError:
                tries += 1
                if self.is_old and tries == _TRIES:
                    sys.exit(1)
                time.sleep(_PAUSE)
            else:
                return

    def fetch_data(self, context: Any) -> None:
        if self.is_old:
            request = self.names.GetWorkflowDataRequest(workflow_id=context.workflow_id)
            if data := self.stub.GetWorkflowData(request).data:
                (self.folder / "data").write_bytes(data)

    def keep_data(self, context: Any, action: Any) -> None:
        if not self.is_old:
            return
        ran = (self.folder / "ran").read_text().split()
        data = json.dumps({"ran": ran}).encode()
        metadata = {
            "workerID": self.worker,
            "actionName": action.name,
            "taskName": action.task_name,
            "updatedAt": "2022-10-06T00:00:00Z",
            "sha256": hashlib.sha256(data).hexdigest(),
        }
        self.stub.UpdateWorkflowData(
            self.names.UpdateWorkflowDataRequest(
                workflow_id=context.workflow_id, metadata=json.dumps(metadata).encode(), data=data
            )
        )

    def note(self, file: str, word: str) -> None:
        with (self.folder / file).open("a") as text:
            text.write(f"{word}\n")


if __name__ == "__main__":
    Worker(sys.argv[1], sys.argv[2], sys.argv[3], Path(sys.argv[4])).run()
